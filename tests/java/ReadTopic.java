import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Reads a topic of trades from its beginning to its end with Kafka's Java consumer and a Java Avro
 * deserializer that knows Confluent's format: a line a record, in the form of read_topic.py.
 *
 * <p>Confluent's own deserializer is in no public Maven registry; this one is Apicurio's.
 */
public final class ReadTopic {
    public static void main(String[] args) {
        String servers = args[0];
        String registry = args[1];
        String topic = args[2];
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", servers);
        config.put("isolation.level", "read_committed");
        config.put("enable.auto.commit", "false");
        config.put("apicurio.registry.url", registry);
        config.put("apicurio.registry.as-confluent", true);
        config.put("apicurio.registry.use-id", "contentId");
        AvroKafkaDeserializer<GenericRecord> values = new AvroKafkaDeserializer<>();
        values.configure(config, false);
        try (KafkaConsumer<String, GenericRecord> consumer =
                new KafkaConsumer<>(config, new StringDeserializer(), values)) {
            List<TopicPartition> all =
                    consumer.partitionsFor(topic).stream()
                            .map(it -> new TopicPartition(topic, it.partition()))
                            .toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            StringBuilder out = new StringBuilder();
            while (all.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
                for (ConsumerRecord<String, GenericRecord> it : consumer.poll(Duration.ofSeconds(1))) {
                    line(it, out);
                }
            }
            System.out.print(out);
        }
    }

    private static void line(ConsumerRecord<String, GenericRecord> it, StringBuilder out) {
        GenericRecord trade = it.value();
        out.append("{\"partition\":").append(it.partition());
        out.append(",\"offset\":").append(it.offset());
        out.append(",\"timestamp\":").append(it.timestamp());
        out.append(",\"key\":\"").append(it.key());
        out.append("\",\"headers\":{},\"value\":{\"symbol\":\"").append(trade.get("symbol"));
        out.append("\",\"trade_id\":").append(trade.get("trade_id"));
        out.append(",\"price\":\"").append(decimal(trade, "price"));
        out.append("\",\"quantity\":\"").append(decimal(trade, "quantity"));
        out.append("\",\"trade_time\":").append(trade.get("trade_time"));
        out.append(",\"event_time\":").append(trade.get("event_time"));
        out.append(",\"is_buyer_maker\":").append(trade.get("is_buyer_maker"));
        out.append("}}\n");
    }

    private static String decimal(GenericRecord trade, String field) {
        ByteBuffer value = (ByteBuffer) trade.get(field);
        byte[] bytes = new byte[value.remaining()];
        value.duplicate().get(bytes);
        int scale = (Integer) trade.getSchema().getField(field).schema().getObjectProp("scale");
        return new BigDecimal(new BigInteger(bytes), scale).toPlainString();
    }
}
