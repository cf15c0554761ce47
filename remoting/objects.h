/* objects.h - RocketMQ's JSON, in which the name of a member may be an object.
 *
 *      {"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:5}}
 *
 * JSON does not allow that: here such a name is a text until the answer is complete. */
#ifndef MQFS_REMOTING_OBJECTS_H
#define MQFS_REMOTING_OBJECTS_H

/* "{\"a\":1}" becomes {"a":1}, wherever a text begins like that; in place.  RocketMQ 5.x's
 * reader takes no texts for objects; 4.9's takes both. */
void objects_as_names(char *json);

#endif
