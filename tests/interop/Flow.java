/* Flow.java - a flow of messages through RocketMQ's client, and what became of each of them; told
 * what to do line by line on standard input.
 *
 *	route TOPIC                     COUNT of queues that may be written now
 *	produce NAME TOPIC [WITHIN_MS]  from now on, as NAME 0, NAME 1, ...; tag TagA or TagB by turns,
 *	                                property `n` the number; one each 5 ms, and each is given up after
 *	                                WITHIN_MS (3000): the client does not see that a broker has died
 *	                                before it answered
 *	rest NAME                       it stops: COUNT of those answered by SEND_OK, COUNT of the others
 *	consume NAME GROUP TOPIC [WHAT] from now on; WHAT: order, broadcast, tags=EXPRESSION, sql=EXPRESSION,
 *	                                from=first, from=last, from=YYYYMMDDHHMMSS, one after the other
 *	lite NAME GROUP TOPIC           the same, by DefaultLitePullConsumer
 *	leave NAME                      that consumer commits and shuts down: COUNT of what it was given
 *	got NAME                        COUNT of what it has been given so far
 *	queues NAME                     COUNT of queues that it consumes
 *	await GROUP                     until the group has been given all that was answered by SEND_OK
 *	judge GROUP                     missing=N strangers=N again=N disorder=N: answered by SEND_OK and not
 *	                                given; given and never sent; places of a queue given twice; given
 *	                                before what is before it, or at the same time (of order)
 *	committed GROUP TOPIC BROKER    sum of what the broker says that the group has consumed of each queue; -1: no
 *	                                answer, or no route yet
 *	pull GROUP TOPIC BROKER Q AT    STATUS NEXT, the broker's id that was asked, and the one to ask next
 *
 * A group's members are judged as one, but of broadcast, where each is its own: by its NAME.  The
 * first argument is the name server.  Each line begins with a number N; it is answered by lines
 * "answer N: ..." and a line "done N"; what has failed is said as "answer N: failed ...".
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.store.OffsetStore;
import org.apache.rocketmq.client.consumer.store.ReadOffsetType;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.consumer.ProcessQueue;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.remoting.exception.RemotingException;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

public class Flow {
	private static final int PATIENCE_MS = 100000;

	private final String nameServer;
	private final Set<String> tried = ConcurrentHashMap.newKeySet(), stored = ConcurrentHashMap.newKeySet();
	private final Map<String, Producing> producers = new HashMap<>();
	private final Map<String, Given> groups = new ConcurrentHashMap<>();
	private final Map<String, Consuming> consumers = new HashMap<>();
	private final Map<String, DefaultMQPullConsumer> pullers = new HashMap<>();
	private DefaultMQProducer router;
	private DefaultMQAdminExt admin;

	private Flow(String nameServer) {
		this.nameServer = nameServer;
	}

	public static void main(String[] args) throws Exception {
		System.setProperty("rocketmq.client.rebalance.waitInterval", "500");

		Flow flow = new Flow(args[0]);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

		System.out.println("boot success");
		System.out.flush();
		for (String line = in.readLine(); line != null; line = in.readLine()) {
			String[] word = line.trim().split(" +", 2);
			Object answer;

			try {
				answer = flow.obey(word[1].split(" +"));
			} catch (Exception e) {
				e.printStackTrace();
				answer = "failed " + e;
			}
			System.out.print("answer " + word[0] + ": " + answer + "\ndone " + word[0] + "\n");
			System.out.flush();
		}
		System.exit(0);
	}

	private Object obey(String[] word) throws Exception {
		switch (word[0]) {
		case "route":
			return route(word[1]);
		case "produce":
			producers.put(word[1], new Producing(word[1], word[2], word.length > 3 ? Integer.parseInt(word[3]) : 3000));
			return "";
		case "rest":
			return producers.remove(word[1]).rest();
		case "consume":
			consumers.put(word[1], new Pushed(word[1], word[2], word[3], List.of(word).subList(4, word.length)));
			return "";
		case "lite":
			consumers.put(word[1], new Polled(word[1], word[2], word[3]));
			return "";
		case "leave":
			Consuming leaving = consumers.remove(word[1]);
			leaving.leave();
			return leaving.count;
		case "got":
			return consumers.get(word[1]).count;
		case "queues":
			return consumers.get(word[1]).queues();
		case "await":
			return await(word[1]);
		case "judge":
			return groups.get(word[1]).judge();
		case "committed":
			return committed(word[1], word[2], word[3]);
		case "pull":
			return pull(word[1], new MessageQueue(word[2], word[3], Integer.parseInt(word[4])), Long.parseLong(word[5]));
		default:
			throw new IllegalArgumentException("no such command");
		}
	}

	/* As impatient as the tests. */
	private <T extends ClientConfig> T told(T client, String name) {
		client.setNamesrvAddr(nameServer);
		client.setInstanceName(name);
		client.setMqClientApiTimeout(10000);	/* a busy machine; but see WITHIN_MS */
		client.setPollNameServerInterval(500);
		client.setHeartbeatBrokerInterval(500);
		client.setPersistConsumerOffsetInterval(500);
		return client;
	}

	private int route(String topic) throws Exception {
		if (router == null) {
			router = told(new DefaultMQProducer("router"), "router");
			router.start();
		}
		try {
			router.getDefaultMQProducerImpl().getmQClientFactory().updateTopicRouteInfoFromNameServer(topic);
			return router.fetchPublishMessageQueues(topic).size();
		} catch (MQClientException e) {
			return 0;		/* it has none */
		}
	}

	private class Producing extends Thread {
		private final String name, topic;
		private final int withinMs;
		private final DefaultMQProducer producer;
		private volatile boolean resting;
		private int well, badly;

		Producing(String name, String topic, int withinMs) throws Exception {
			this.name = name;
			this.topic = topic;
			this.withinMs = withinMs;
			producer = told(new DefaultMQProducer("of_" + name), name);
			producer.setRetryTimesWhenSendFailed(5);
			producer.setRetryAnotherBrokerWhenNotStoreOK(false);
			producer.start();
			start();
		}

		private void send(int number) throws InterruptedException {
			String body = name + " " + number;
			Message m = new Message(topic, number % 2 == 0 ? "TagA" : "TagB", body.getBytes(StandardCharsets.UTF_8));

			m.putUserProperty("n", Integer.toString(number));
			tried.add(body);
			try {
				if (producer.send(m, withinMs).getSendStatus() == SendStatus.SEND_OK) {
					stored.add(body);
					well++;
					return;
				}
			} catch (InterruptedException e) {
				throw e;
			} catch (Exception e) {
				System.err.println(body + ": " + e);
			}
			badly++;
		}

		@Override
		public void run() {
			try {
				for (int i = 0; !resting; i++) {
					send(i);
					Thread.sleep(5);
				}
			} catch (InterruptedException e) {
				System.err.println(e);
			}
		}

		String rest() throws InterruptedException {
			resting = true;
			join();
			producer.shutdown();
			return well + " " + badly;
		}
	}

	/* What a group has been given. */
	private class Given {
		private final Set<String> bodies = ConcurrentHashMap.newKeySet(), places = ConcurrentHashMap.newKeySet();
		private final Map<String, Long> last = new ConcurrentHashMap<>();
		private final Set<String> busy = ConcurrentHashMap.newKeySet();
		private final AtomicInteger again = new AtomicInteger(), disorder = new AtomicInteger();

		private void take(String queue, MessageExt m) {
			if (!places.add(queue + " " + m.getQueueOffset())) {
				again.incrementAndGet();
				System.err.println("again: " + queue + " " + m.getQueueOffset());
			}
			bodies.add(new String(m.getBody(), StandardCharsets.UTF_8));
		}

		/* The next one of the queue, and nobody else has one of it in hand. */
		private void takeInOrder(String queue, MessageExt m) {
			Long before = last.put(queue, m.getQueueOffset());

			if (!busy.add(queue) || (before != null && before >= m.getQueueOffset()))
				disorder.incrementAndGet();
			take(queue, m);
			busy.remove(queue);
		}

		long missing() {
			return stored.stream().filter(body -> !bodies.contains(body)).count();
		}

		String judge() {
			return "missing=" + missing() + " strangers="
				+ bodies.stream().filter(body -> !tried.contains(body)).count()
				+ " again=" + again + " disorder=" + disorder;
		}
	}

	private Given given(String name) {
		return groups.computeIfAbsent(name, n -> new Given());
	}

	private abstract static class Consuming {
		protected final AtomicInteger count = new AtomicInteger();

		abstract int queues() throws Exception;

		abstract void leave() throws Exception;
	}

	private class Pushed extends Consuming {
		private final DefaultMQPushConsumer consumer;

		Pushed(String name, String group, String topic, List<String> what) throws Exception {
			boolean broadcast = what.contains("broadcast");
			Given given = given(broadcast ? name : group);

			consumer = told(new DefaultMQPushConsumer(group), name);
			consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
			consumer.setMessageModel(broadcast ? MessageModel.BROADCASTING : MessageModel.CLUSTERING);
			consumer.subscribe(topic, "*");
			/* what it is given while it leaves is consumed and committed, too */
			consumer.setAwaitTerminationMillisWhenShutdown(PATIENCE_MS);
			configure(topic, String.join(" ", what));
			if (what.contains("order"))
				consumer.registerMessageListener((MessageListenerOrderly)(list, context) -> {
					list.forEach(m -> given.takeInOrder(context.getMessageQueue().toString(), m));
					count.addAndGet(list.size());
					return ConsumeOrderlyStatus.SUCCESS;
				});
			else
				consumer.registerMessageListener((MessageListenerConcurrently)(list, context) -> {
					list.forEach(m -> given.take(context.getMessageQueue().toString(), m));
					count.addAndGet(list.size());
					return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
				});
			consumer.start();
		}

		/* An expression goes on to the end. */
		private void configure(String topic, String what) throws Exception {
			String[] word = what.split(" ");

			for (String each : word) {
				if (each.startsWith("tags="))
					consumer.subscribe(topic, what.substring(what.indexOf("tags=") + 5));
				else if (each.startsWith("sql="))
					consumer.subscribe(topic, MessageSelector.bySql(what.substring(what.indexOf("sql=") + 4)));
				else if (each.equals("from=last"))
					consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
				else if (each.startsWith("from=") && !each.equals("from=first")) {
					consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_TIMESTAMP);
					consumer.setConsumeTimestamp(each.substring(5));
				}
			}
		}

		@Override
		int queues() {
			return (int)consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet()
				.stream().filter(queue -> !queue.getTopic().startsWith("%RETRY%")).count();
		}

		/* All that it was given is committed before it goes, which shutdown() alone does not wait for. */
		@Override
		void leave() throws Exception {
			var table = consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable();
			OffsetStore store = consumer.getDefaultMQPushConsumerImpl().getOffsetStore();

			consumer.suspend();
			for (ProcessQueue queue : table.values())
				while (queue.getMsgCount().get() > 0)
					Thread.sleep(20);
			if (consumer.getMessageModel() == MessageModel.CLUSTERING)
				for (MessageQueue queue : table.keySet())
					commit(store, queue);
			consumer.shutdown();
		}

		private void commit(OffsetStore store, MessageQueue queue) throws Exception {
			long at = store.readOffset(queue, ReadOffsetType.READ_FROM_MEMORY);

			if (at >= 0)
				store.updateConsumeOffsetToBroker(queue, at, false);
		}
	}

	private class Polled extends Consuming implements Runnable {
		private final DefaultLitePullConsumer consumer;
		private final Given given;
		private final Thread thread = new Thread(this);
		private volatile boolean leaving;

		Polled(String name, String group, String topic) throws Exception {
			given = given(group);
			consumer = told(new DefaultLitePullConsumer(group), name);
			consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
			consumer.subscribe(topic, "*");
			consumer.start();
			thread.start();
		}

		@Override
		public void run() {
			while (!leaving)
				for (MessageExt m : consumer.poll(200)) {
					given.take(m.getTopic() + m.getBrokerName() + m.getQueueId(), m);
					count.incrementAndGet();
				}
		}

		@Override
		int queues() throws Exception {
			return consumer.assignment().size();
		}

		@Override
		void leave() throws Exception {
			leaving = true;
			thread.join();
			consumer.commitSync();
			consumer.shutdown();
		}
	}

	private String await(String group) throws InterruptedException {
		long end = System.currentTimeMillis() + PATIENCE_MS;

		while (given(group).missing() > 0 && System.currentTimeMillis() < end)
			Thread.sleep(50);
		return given(group).missing() > 0 ? "failed " + given(group).judge() : "";
	}

	private long committed(String group, String topic, String broker) throws Exception {
		if (admin == null) {
			admin = told(new DefaultMQAdminExt(PATIENCE_MS), "admin");
			admin.start();
		}
		try {
			return admin.examineConsumeStats(group, topic).getOffsetTable().entrySet().stream()
				.filter(e -> e.getKey().getBrokerName().equals(broker))
				.mapToLong(e -> e.getValue().getConsumerOffset()).sum();
		} catch (MQClientException | MQBrokerException | RemotingException e) {
			System.err.println("committed " + group + ": " + e);
			return -1;
		}
	}

	private String pull(String group, MessageQueue queue, long at) throws Exception {
		DefaultMQPullConsumer puller = pullers.get(group);

		if (puller == null) {
			puller = told(new DefaultMQPullConsumer(group), "of_" + group);
			puller.start();
			pullers.put(group, puller);
		}
		puller.fetchSubscribeMessageQueues(queue.getTopic());	/* the route */
		var node = puller.getDefaultMQPullConsumerImpl().getPullAPIWrapper();
		long asked = node.recalculatePullFromWhichNode(queue);
		PullResult result = puller.pull(queue, "*", at, 4);

		return result.getPullStatus() + " " + result.getNextBeginOffset() + " " + asked + " "
			+ node.recalculatePullFromWhichNode(queue);
	}
}
