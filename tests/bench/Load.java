/* Load.java - RocketMQ's own client as a load, for rocketmq.sh.
 *
 *	Load produce NAMESRV TOPIC THREADS BYTES SECONDS PID...   one producer, so many threads that send and wait
 *	Load pull NAMESRV TOPIC QUEUES COUNT PID...               until COUNT messages have come
 *
 * Prints: messages a second, CPU seconds of the processes PID... per million messages, and what
 * these hold in memory at the end, in MiB. The first seconds are not counted (the JVMs warm up).
 */
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

@SuppressWarnings("deprecation")
public class Load {
	private static final int WARM_UP_MS = 3000;
	private static final double TICKS = 100;	/* USER_HZ */

	private final String[] pids;
	private long beganNs;
	private double beganCpu;

	private Load(String[] args, int from) {
		pids = List.of(args).subList(from, args.length).toArray(new String[0]);
	}

	public static void main(String[] args) throws Exception {
		switch (args[0]) {
		case "produce":
			new Load(args, 6).produce(args[1], args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]),
						  Double.parseDouble(args[5]));
			break;
		case "pull":
			new Load(args, 5).pull(args[1], args[2], Integer.parseInt(args[3]), Long.parseLong(args[4]));
			break;
		default:
			System.exit(2);
		}
		System.exit(0);
	}

	private double cpu() throws Exception {
		double sum = 0;

		for (String pid : pids) {
			String stat = Files.readString(Path.of("/proc", pid, "stat"));
			String[] field = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
			sum += Double.parseDouble(field[11]) + Double.parseDouble(field[12]);
		}
		return sum / TICKS;
	}

	private double residentMib() throws Exception {
		double sum = 0;

		for (String pid : pids)
			for (String line : Files.readAllLines(Path.of("/proc", pid, "status")))
				if (line.startsWith("VmRSS:"))
					sum += Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
		return sum;
	}

	private void begin() throws Exception {
		beganCpu = cpu();
		beganNs = System.nanoTime();
	}

	private void end(long messages) throws Exception {
		double seconds = (System.nanoTime() - beganNs) / 1e9;

		System.out.printf("%.0f %.2f %.0f%n", messages / seconds, (cpu() - beganCpu) / messages * 1e6, residentMib());
	}

	private void produce(String nameServer, String topic, int threads, int bytes, double seconds) throws Exception {
		DefaultMQProducer producer = new DefaultMQProducer("load");
		AtomicLong sent = new AtomicLong();
		AtomicBoolean over = new AtomicBoolean();
		Thread[] senders = new Thread[threads];
		long before;

		producer.setNamesrvAddr(nameServer);
		producer.setSendMsgTimeout(30000);
		producer.start();
		for (int i = 0; i < threads; i++) {
			senders[i] = new Thread(() -> send(producer, topic, new byte[bytes], sent, over));
			senders[i].start();
		}
		Thread.sleep(WARM_UP_MS);
		before = sent.get();
		begin();
		Thread.sleep((long)(seconds * 1000));
		end(sent.get() - before);
		over.set(true);
		for (Thread sender : senders)
			sender.join();
	}

	private static void send(DefaultMQProducer producer, String topic, byte[] body, AtomicLong sent, AtomicBoolean over) {
		try {
			while (!over.get()) {
				if (producer.send(new Message(topic, body)).getSendStatus() != SendStatus.SEND_OK)
					throw new IllegalStateException("not SEND_OK");
				sent.incrementAndGet();
			}
		} catch (Exception e) {
			e.printStackTrace();
			System.exit(1);
		}
	}

	private void pull(String nameServer, String topic, int queues, long count) throws Exception {
		DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("load");
		Iterable<MessageQueue> all;
		long got = 0;

		consumer.setNamesrvAddr(nameServer);
		consumer.start();
		all = consumer.fetchSubscribeMessageQueues(topic);
		begin();
		for (MessageQueue queue : all) {
			long offset = 0;
			PullResult result;

			do {
				result = consumer.pull(queue, "*", offset, 32);
				offset = result.getNextBeginOffset();
				got += result.getMsgFoundList() == null ? 0 : result.getMsgFoundList().size();
			} while (offset < result.getMaxOffset());
		}
		if (got < count)
			throw new IllegalStateException(got + " of " + count + " messages");
		end(got);
		consumer.shutdown();
	}
}
