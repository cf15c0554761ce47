/* Tools.java - mqadmin, many commands in one process: `Tools NAME-SERVER BROKER < COMMANDS`.
 *
 *	COMMAND ARGUMENT...                   as mqadmin has it, with -n
 *	!send TOPIC QUEUE TAG KEY BODY        a message; {id} and {uniq} are its ids from here on
 *	!trace TOPIC QUEUE TAG KEY BODY       the same, of a producer that traces what it does; its trace is there
 *	!consume GROUP TOPIC COUNT            COUNT messages, and then the consumer stays: {client}
 *	!leave                                the consumer goes
 *	!produce GROUP                        a producer of that group stays; !beat: the broker knows it
 *	!wait SECONDS
 *	!for SECONDS COMMAND ARGUMENT...      a command without an end
 *
 * {broker}, {dir} (an empty directory), {id}, {uniq} and {client} in a line stand for what they say;
 * `_` in an argument for a blank.  Each line is answered by "### " and itself, and what it printed.
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.topic.TopicValidator;
import org.apache.rocketmq.tools.command.MQAdminStartup;

public class Tools {
	private static final int PATIENCE_MS = 60000;

	private final String nameServer, broker, dir;
	private String id = "none", uniq = "none", client = "none";
	private DefaultMQProducer producer;
	private DefaultMQPushConsumer consumer;

	private Tools(String nameServer, String broker, String dir) {
		this.nameServer = nameServer;
		this.broker = broker;
		this.dir = dir;
	}

	public static void main(String[] args) throws Exception {
		Tools tools = new Tools(args[0], args[1], args[2]);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

		for (String line = in.readLine(); line != null; line = in.readLine()) {
			System.out.println("### " + line);
			tools.obey(line);
			System.out.println();
			System.out.flush();
		}
		System.exit(0);
	}

	private void obey(String line) throws Exception {
		List<String> word = new ArrayList<>();

		for (String w : line.split(" +"))
			word.add(w.replace('_', ' ').replace("{broker}", broker).replace("{dir}", dir).replace("{id}", id)
				.replace("{uniq}", uniq).replace("{client}", client));
		switch (word.get(0)) {
		case "!send":
			send(producer, word);
			break;
		case "!trace":
			DefaultMQProducer tracing = producer("tracing", true);

			send(tracing, word);
			awaitTrace(tracing);
			tracing.shutdown();		/* forgets what it has not sent yet */
			break;
		case "!consume":
			consume(word.get(1), word.get(2), Integer.parseInt(word.get(3)));
			break;
		case "!leave":
			consumer.shutdown();
			break;
		case "!produce":
			producer = producer(word.get(1), false);
			break;
		case "!beat":
			producer.getDefaultMQProducerImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
			break;
		case "!wait":
			Thread.sleep(1000 * Long.parseLong(word.get(1)));
			break;
		case "!for":
			Thread thread = new Thread(() -> mqadmin(word.subList(2, word.size())));

			thread.start();
			thread.join(1000 * Long.parseLong(word.get(1)));
			thread.interrupt();
			thread.join();
			break;
		default:
			mqadmin(word);
		}
	}

	/* Its commands are objects that it makes anew each time, and would keep. */
	private static class Startup extends MQAdminStartup {
		static void run(String[] word) {
			subCommandList.clear();
			main0(word, null);
		}
	}

	private void mqadmin(List<String> words) {
		List<String> word = new ArrayList<>(words);

		word.add("-n");
		word.add(nameServer);
		Startup.run(word.toArray(new String[0]));
	}

	private DefaultMQProducer producer(String group, boolean traces) throws Exception {
		DefaultMQProducer made = new DefaultMQProducer(group, traces);

		made.setNamesrvAddr(nameServer);
		made.setInstanceName(group);
		made.setSendMsgTimeout(PATIENCE_MS);
		made.start();
		return made;
	}

	/* The name server hears of a new topic a moment later. */
	private static MessageQueue queue(DefaultMQProducer producer, String topic, int number) throws Exception {
		long end = System.currentTimeMillis() + PATIENCE_MS;

		for (;;) {
			try {
				for (MessageQueue queue : producer.fetchPublishMessageQueues(topic))
					if (queue.getQueueId() == number)
						return queue;
				throw new IllegalArgumentException("no such queue");
			} catch (Exception e) {
				if (System.currentTimeMillis() > end)
					throw e;
				Thread.sleep(100);
			}
		}
	}

	/* A trace is sent behind the message's back, and indexed behind the trace's. */
	private void awaitTrace(DefaultMQProducer by) throws Exception {
		long end = System.currentTimeMillis() + PATIENCE_MS;

		for (;;) {
			try {
				by.queryMessage(TopicValidator.RMQ_SYS_TRACE_TOPIC, uniq, 1, 0, Long.MAX_VALUE);
				return;
			} catch (MQClientException e) {
				if (System.currentTimeMillis() > end)
					throw e;
				Thread.sleep(100);
			}
		}
	}

	private void send(DefaultMQProducer by, List<String> word) throws Exception {
		Message message = new Message(word.get(1), word.get(3), word.get(4),
			word.get(5).getBytes(StandardCharsets.UTF_8));
		SendResult result = by.send(message, queue(by, word.get(1), Integer.parseInt(word.get(2))));

		id = result.getOffsetMsgId();
		uniq = result.getMsgId();
		System.out.println(result.getSendStatus() + " " + result.getQueueOffset());
	}

	private void consume(String group, String topic, int count) throws Exception {
		CountDownLatch missing = new CountDownLatch(count);

		consumer = new DefaultMQPushConsumer(group);
		consumer.setNamesrvAddr(nameServer);
		consumer.setInstanceName("walker");
		consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
		consumer.setConsumeThreadMin(1);
		consumer.setConsumeThreadMax(1);
		consumer.setAwaitTerminationMillisWhenShutdown(PATIENCE_MS);
		consumer.subscribe(topic, "*");
		consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
			for (MessageExt m : messages)
				missing.countDown();
			return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
		});
		consumer.start();
		if (!missing.await(PATIENCE_MS, TimeUnit.MILLISECONDS))
			throw new IllegalStateException(missing.getCount() + " messages have not come");
		for (int i = 0; i < 5; i++) {
			Thread.sleep(100);
			consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
		}
		client = consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
	}
}
