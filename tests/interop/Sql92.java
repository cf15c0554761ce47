/* What RocketMQ's own filter makes of each case of sql92_cases.txt: one word a line. */
import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.parser.SelectorParser;

public class Sql92 {
    static Map<String, String> properties(String text) {
        Map<String, String> map = new HashMap<>();

        for (String entry : text.split(";")) {
            int eq = entry.indexOf('=');
            if (eq > 0 && eq + 1 < entry.length())
                map.put(entry.substring(0, eq), entry.substring(eq + 1));
        }
        return map;
    }

    static String outcome(Map<String, String> map, String text) {
        Expression expression;

        try {
            expression = SelectorParser.parse(text);
        } catch (Throwable t) {
            return "refused";
        }
        try {
            Object got = expression.evaluate(new EvaluationContext() {
                public Object get(String name) {
                    return map.get(name);
                }

                public Map<String, Object> keyValues() {
                    return new HashMap<>(map);
                }
            });
            return Boolean.TRUE.equals(got) ? "yes" : "no";
        } catch (Throwable t) {
            return "no";
        }
    }

    public static void main(String[] args) throws Exception {
        try (BufferedReader in = Files.newBufferedReader(Paths.get(args[0]), StandardCharsets.UTF_8)) {
            for (String line; (line = in.readLine()) != null;) {
                String[] part = line.split("\t", 3);
                if (!line.startsWith("#"))
                    System.out.println(outcome(properties(part[1]), part[2]));
            }
        }
    }
}
