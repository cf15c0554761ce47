/* Driver.java - RocketMQ's client, told what to do line by line on standard input.
 *
 *	topic BROKER TOPIC QUEUES               BROKER: HOST:PORT
 *	send TOPIC QUEUE TAG KEYS LEVEL BODY    - for none; LEVEL: of delay
 *	timed TOPIC SECONDS BODY                to be delivered then, by 5.x's timer wheel
 *	batch TOPIC QUEUE COUNT BODY            BODY 1, BODY 2, ... at once
 *	transaction TOPIC BODY                  sent, and committed
 *	takeback TOPIC BODY                     the same, rolled back
 *	half TOPIC BODY                         the same, neither committed nor taken back
 *	decide TOPIC COUNT OUTCOME              commit or rollback whatever it is asked for, until it was asked for COUNT
 *	                                        messages: each of them as BODY, sorted
 *	retry GROUP TOPIC TIMES                 a message that is never handled, until it has come TIMES times: how often it
 *	                                        had come, and in which topic, each time
 *	ask TOPIC BODY                          a request, and the reply, which is "re: BODY"
 *	consume GROUP TOPIC TAGS COUNT          every message as TOPIC QUEUE OFFSET TAG KEYS BODY, sorted
 *	query TOPIC KEY                         the same of the messages with that key
 *	offsets GROUP TOPIC                     QUEUE COMMITTED END of every queue
 *	set BROKER KEY VALUE                    a setting of that broker
 *	register NAME HOST:PORT HOST:HAPORT TOPIC...   as that broker would; never comes to an end
 *
 * With -Dmqfs.accessKey=KEY and -Dmqfs.secretKey=KEY each request is signed.
 *
 * What is sent is answered by STATUS QUEUE OFFSET.  The first argument is the
 * name server; each line ends with a line "done" on standard output, or the
 * program with a stack trace and status 1.
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.broker.out.BrokerOuterAPI;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.store.OffsetStore;
import org.apache.rocketmq.client.consumer.store.ReadOffsetType;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.impl.consumer.ProcessQueue;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.admin.OffsetWrapper;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.body.TopicConfigSerializeWrapper;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.exception.RemotingConnectException;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

public class Driver {
	private static final int PATIENCE_MS = 60000;

	private final String nameServer;
	private DefaultMQProducer producer;
	private DefaultMQAdminExt admin;

	private Driver(String nameServer) {
		this.nameServer = nameServer;
	}

	public static void main(String[] args) throws Exception {
		/* what brokers and clients say; of one that does not a name server takes no topics */
		System.setProperty(RemotingCommand.REMOTING_VERSION_KEY, Integer.toString(MQVersion.CURRENT_VERSION));
		System.setProperty("rocketmq.client.rebalance.waitInterval", "500");

		Driver driver = new Driver(args[0]);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

		for (String line = in.readLine(); line != null; line = in.readLine()) {
			try {
				driver.obey(line.trim().split(" +"));
			} catch (Exception e) {
				System.err.println(line);
				e.printStackTrace();
				System.exit(1);
			}
			System.out.println("done");
			System.out.flush();
		}
		System.exit(0);
	}

	/* null: nothing is signed */
	private static RPCHook hook() {
		String key = System.getProperty("mqfs.accessKey");

		return key == null ? null
			: new AclClientRPCHook(new SessionCredentials(key, System.getProperty("mqfs.secretKey")));
	}

	private void obey(String[] word) throws Exception {
		switch (word[0]) {
		case "topic":
			topic(word[1], word[2], Integer.parseInt(word[3]));
			break;
		case "send":
			send(word);
			break;
		case "timed":
			timed(word);
			break;
		case "batch":
			batch(word[1], queue(word[1], word[2]), Integer.parseInt(word[3]), rest(word, 4));
			break;
		case "transaction":
			transaction(word[1], rest(word, 2), LocalTransactionState.COMMIT_MESSAGE);
			break;
		case "takeback":
			transaction(word[1], rest(word, 2), LocalTransactionState.ROLLBACK_MESSAGE);
			break;
		case "half":
			transaction(word[1], rest(word, 2), LocalTransactionState.UNKNOW);
			break;
		case "decide":
			decide(word[1], Integer.parseInt(word[2]), word[3].equals("commit")
				? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE);
			break;
		case "retry":
			retry(word[1], word[2], Integer.parseInt(word[3]));
			break;
		case "ask":
			ask(word[1], rest(word, 2));
			break;
		case "consume":
			consume(word[1], word[2], word[3], Integer.parseInt(word[4]));
			break;
		case "query":
			query(word[1], word[2]);
			break;
		case "offsets":
			offsets(word[1], word[2]);
			break;
		case "set":
			set(word[1], word[2], word[3]);
			break;
		case "register":
			register(word);
			break;
		default:
			throw new IllegalArgumentException("no such command");
		}
	}

	private static String rest(String[] word, int from) {
		return String.join(" ", List.of(word).subList(from, word.length));
	}

	/* Whatever comes to nothing at first is tried again soon, not 20 or 30 seconds later. */
	private <T extends ClientConfig> T told(T client) {
		client.setNamesrvAddr(nameServer);
		client.setMqClientApiTimeout(PATIENCE_MS);
		client.setPollNameServerInterval(500);
		client.setHeartbeatBrokerInterval(500);
		return client;
	}

	private DefaultMQAdminExt admin() throws Exception {
		if (admin == null) {
			admin = told(new DefaultMQAdminExt(hook(), PATIENCE_MS));
			admin.start();
		}
		return admin;
	}

	private DefaultMQProducer producer() throws Exception {
		if (producer == null) {
			producer = told(new DefaultMQProducer("interop_producer", hook()));
			producer.setSendMsgTimeout(PATIENCE_MS);
			producer.start();
		}
		return producer;
	}

	private void topic(String broker, String topic, int queues) throws Exception {
		patiently(() -> {
			admin().createAndUpdateTopicConfig(broker, new TopicConfig(topic, queues, queues, 6));
			return null;
		});
	}

	/* The name server hears of a new topic a moment later. */
	private MessageQueue queue(String topic, String number) throws Exception {
		long end = System.currentTimeMillis() + PATIENCE_MS;

		for (;;) {
			try {
				for (MessageQueue queue : producer().fetchPublishMessageQueues(topic))
					if (queue.getQueueId() == Integer.parseInt(number))
						return queue;
				throw new IllegalArgumentException("no such queue");
			} catch (Exception e) {
				if (System.currentTimeMillis() > end)
					throw e;
				Thread.sleep(100);
			}
		}
	}

	/* Nothing has been done of what is called: the client did not connect (its threads wait 3 s for each other), or
	 * a Java broker had no room (it waits 5 s for a new file of its log). */
	private static boolean isUndone(Throwable e) {
		for (; e != null; e = e.getCause())
			if (e instanceof RemotingConnectException || (e instanceof MQBrokerException
					&& ((MQBrokerException)e).getErrorMessage().startsWith("create mapped file failed")))
				return true;
		return false;
	}

	/* A busy machine exceeds the times that cannot be set. */
	private static <T> T patiently(Callable<T> call) throws Exception {
		long end = System.currentTimeMillis() + PATIENCE_MS;

		for (;; Thread.sleep(100)) {
			try {
				return call.call();
			} catch (Exception e) {
				if (!isUndone(e) || System.currentTimeMillis() > end)
					throw e;
				System.err.println(e);
			}
		}
	}

	private static void say(SendResult result) {
		System.out.println(result.getSendStatus() + " " + result.getMessageQueue().getQueueId() + " "
			+ result.getQueueOffset());
	}

	private void send(String[] word) throws Exception {
		Message message = new Message(word[1], rest(word, 6).getBytes(StandardCharsets.UTF_8));

		if (!word[3].equals("-"))
			message.setTags(word[3]);
		if (!word[4].equals("-"))
			message.setKeys(word[4]);
		if (!word[5].equals("-"))
			message.setDelayTimeLevel(Integer.parseInt(word[5]));
		MessageQueue queue = queue(word[1], word[2]);
		say(patiently(() -> producer().send(message, queue)));
	}

	private void timed(String[] word) throws Exception {
		Message message = new Message(word[1], rest(word, 3).getBytes(StandardCharsets.UTF_8));

		message.putUserProperty("TIMER_DELAY_SEC", word[2]);
		MessageQueue queue = queue(word[1], "0");
		say(patiently(() -> producer().send(message, queue)));
	}

	private void batch(String topic, MessageQueue queue, int count, String body) throws Exception {
		List<Message> messages = new ArrayList<>();

		for (int i = 1; i <= count; i++)
			messages.add(new Message(topic, (body + " " + i).getBytes(StandardCharsets.UTF_8)));
		say(patiently(() -> producer().send(messages, queue)));
	}

	private TransactionMQProducer transactions(LocalTransactionState outcome, Consumer<MessageExt> checked) throws Exception {
		TransactionMQProducer producer = told(new TransactionMQProducer("interop_transactions", hook()));

		producer.setSendMsgTimeout(PATIENCE_MS);
		producer.setExecutorService(Executors.newFixedThreadPool(2));
		producer.setTransactionListener(new TransactionListener() {
			@Override
			public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
				return outcome;
			}

			@Override
			public LocalTransactionState checkLocalTransaction(MessageExt message) {
				checked.accept(message);
				return outcome;
			}
		});
		producer.start();
		return producer;
	}

	/* Whoever sends its heartbeats to a broker is asked by it. */
	private void decide(String topic, int count, LocalTransactionState outcome) throws Exception {
		ConcurrentSkipListSet<String> got = new ConcurrentSkipListSet<>();
		CountDownLatch missing = new CountDownLatch(count);

		queue(topic, "0");
		TransactionMQProducer producer = transactions(outcome, m -> {
			if (got.add(new String(m.getBody(), StandardCharsets.UTF_8)))
				missing.countDown();
		});
		MQClientInstance client = producer.getDefaultMQProducerImpl().getMqClientFactory();

		client.updateTopicRouteInfoFromNameServer(topic);
		client.sendHeartbeatToAllBrokerWithLock();
		boolean all = missing.await(PATIENCE_MS, TimeUnit.MILLISECONDS);
		producer.getExecutorService().shutdown();	/* it has said what it was asked for */
		producer.getExecutorService().awaitTermination(PATIENCE_MS, TimeUnit.MILLISECONDS);
		producer.shutdown();
		got.forEach(System.out::println);
		if (!all)
			throw new IllegalStateException("nobody has asked for " + missing.getCount() + " messages");
	}

	private void retry(String group, String topic, int times) throws Exception {
		DefaultMQPushConsumer consumer = told(new DefaultMQPushConsumer(null, group, hook()));
		ConcurrentSkipListSet<String> got = new ConcurrentSkipListSet<>();
		CountDownLatch missing = new CountDownLatch(times);

		consumer.setInstanceName(group + topic);
		consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
		consumer.setAwaitTerminationMillisWhenShutdown(PATIENCE_MS);	/* the last one is sent back, too */
		consumer.setMaxReconsumeTimes(times - 1);
		consumer.subscribe(topic, "*");
		consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
			for (MessageExt m : messages)
				if (got.add(m.getReconsumeTimes() + " " + m.getTopic()))
					missing.countDown();
			context.setDelayLevelWhenNextConsume(1);
			return ConsumeConcurrentlyStatus.RECONSUME_LATER;
		});
		consumer.start();
		boolean all = missing.await(PATIENCE_MS, TimeUnit.MILLISECONDS);
		consumer.shutdown();
		got.forEach(System.out::println);
		if (!all)
			throw new IllegalStateException("it has come " + got.size() + " times");
	}

	private void ask(String topic, String body) throws Exception {
		DefaultMQPushConsumer consumer = told(new DefaultMQPushConsumer("interop_repliers"));
		DefaultMQProducer replier = told(new DefaultMQProducer("interop_replier"));

		queue(topic, "0");
		replier.setInstanceName("replier");
		replier.setSendMsgTimeout(PATIENCE_MS);
		replier.start();
		consumer.setInstanceName("repliers" + topic);
		consumer.setAwaitTerminationMillisWhenShutdown(PATIENCE_MS);
		consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
		consumer.subscribe(topic, "*");
		consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
			for (MessageExt m : messages)
				try {
					byte[] reply = ("re: " + new String(m.getBody(), StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8);

					replier.send(MessageUtil.createReplyMessage(m, reply));
				} catch (Exception e) {
					e.printStackTrace();
				}
			return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
		});
		consumer.start();
		Message reply = producer().request(new Message(topic, body.getBytes(StandardCharsets.UTF_8)), PATIENCE_MS);
		System.out.println(new String(reply.getBody(), StandardCharsets.UTF_8));
		consumer.shutdown();
		replier.shutdown();
	}

	private void transaction(String topic, String body, LocalTransactionState outcome) throws Exception {
		queue(topic, "0");
		TransactionMQProducer producer = transactions(outcome, m -> { });

		say(patiently(() -> producer.sendMessageInTransaction(new Message(topic, body.getBytes(StandardCharsets.UTF_8)), null)));
		producer.shutdown();
	}

	private static String show(MessageExt m) {
		return String.format("%s %d %06d %s %s %s", m.getTopic(), m.getQueueId(), m.getQueueOffset(),
			m.getTags() == null ? "-" : m.getTags(), m.getKeys() == null ? "-" : m.getKeys().replace(' ', ','),
			new String(m.getBody(), StandardCharsets.UTF_8));
	}

	/* What shutdown() tells the broker may be lost with the connection: it is told before, and says that it knows. */
	private static void commit(DefaultMQPushConsumer consumer) throws Exception {
		OffsetStore store = consumer.getDefaultMQPushConsumerImpl().getOffsetStore();

		consumer.suspend();
		for (Map.Entry<MessageQueue, ProcessQueue> e : consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl()
				.getProcessQueueTable().entrySet()) {
			while (e.getValue().getMsgCount().get() > 0)
				Thread.sleep(20);
			long at = store.readOffset(e.getKey(), ReadOffsetType.READ_FROM_MEMORY);
			if (at >= 0)
				store.updateConsumeOffsetToBroker(e.getKey(), at, false);
		}
	}

	private void consume(String group, String topic, String tags, int count) throws Exception {
		DefaultMQPushConsumer consumer = told(new DefaultMQPushConsumer(null, group, hook()));
		ConcurrentSkipListSet<String> got = new ConcurrentSkipListSet<>();
		CountDownLatch missing = new CountDownLatch(count);

		consumer.setInstanceName(group + topic);
		consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
		consumer.setAwaitTerminationMillisWhenShutdown(PATIENCE_MS);	/* the last one is committed, too */
		consumer.subscribe(topic, tags);
		consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
			for (MessageExt m : messages)
				if (got.add(show(m)))
					missing.countDown();
			return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
		});
		consumer.start();
		boolean all = missing.await(PATIENCE_MS, TimeUnit.MILLISECONDS);
		commit(consumer);
		consumer.shutdown();
		got.forEach(System.out::println);
		if (!all)
			throw new IllegalStateException(missing.getCount() + " messages have not come");
	}

	private void query(String topic, String key) throws Exception {
		ConcurrentSkipListSet<String> got = new ConcurrentSkipListSet<>();

		for (MessageExt m : patiently(() -> producer().queryMessage(topic, key, 64, 0, Long.MAX_VALUE)).getMessageList())
			got.add(show(m));
		got.forEach(System.out::println);
	}

	private void offsets(String group, String topic) throws Exception {
		TreeMap<Integer, OffsetWrapper> queues = new TreeMap<>();

		for (Map.Entry<MessageQueue, OffsetWrapper> e
				: patiently(() -> admin().examineConsumeStats(group, topic)).getOffsetTable().entrySet())
			queues.put(e.getKey().getQueueId(), e.getValue());
		queues.forEach((queue, at) -> System.out.println(
			queue + " " + at.getConsumerOffset() + " " + at.getBrokerOffset()));
	}

	private void set(String broker, String key, String value) throws Exception {
		Properties settings = new Properties();

		settings.setProperty(key, value);
		patiently(() -> {
			admin().updateBrokerConfig(broker, settings);
			return null;
		});
	}

	private void register(String[] word) throws Exception {
		BrokerOuterAPI api = new BrokerOuterAPI(new NettyClientConfig());
		TopicConfigSerializeWrapper topics = new TopicConfigSerializeWrapper();

		/* 5.x's name server takes no new broker that has exactly one topic; a real one never has */
		topics.getTopicConfigTable().put("SELF_TEST_TOPIC", new TopicConfig("SELF_TEST_TOPIC", 1, 1, 6));
		for (int i = 4; i < word.length; i++)
			topics.getTopicConfigTable().put(word[i], new TopicConfig(word[i], 8, 8, 6));
		topics.getDataVersion().nextVersion();
		api.updateNameServerAddressList(nameServer);
		api.start();
		for (boolean first = true;; first = false) {	/* a name server forgets brokers that are silent for two minutes */
			api.registerBrokerAll("DefaultCluster", word[2], word[1], 0, word[3], topics,
				Collections.emptyList(), false, PATIENCE_MS, false);
			if (first)
				System.out.println("boot success");
			Thread.sleep(10000);
		}
	}
}
