import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes lines of standard input to a topic with Kafka's Java producer and a Java Avro serializer
 * that knows Confluent's format. A line is a record in Avro's own JSON.
 *
 * <p>Confluent's own serializer is in no public Maven registry; this one is Apicurio's.
 */
public final class WriteTopic {
    public static void main(String[] args) throws Exception {
        String servers = args[0];
        String registry = args[1];
        String topic = args[2];
        Schema schema = new Schema.Parser().parse(args[3]);
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", servers);
        config.put("apicurio.registry.url", registry);
        config.put("apicurio.registry.as-confluent", true);
        // Its default: the id is in a header, where Confluent never looks.
        config.put("apicurio.registry.headers.enabled", false);
        config.put("apicurio.registry.use-id", "contentId");
        config.put("apicurio.registry.auto-register", true);
        AvroKafkaSerializer<GenericRecord> values = new AvroKafkaSerializer<>();
        values.configure(config, false);
        GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, GenericRecord> producer =
                new KafkaProducer<>(config, new StringSerializer(), values)) {
            String line;
            while ((line = lines.readLine()) != null) {
                GenericRecord value =
                        reader.read(null, DecoderFactory.get().jsonDecoder(schema, line));
                sent.add(producer.send(new ProducerRecord<>(topic, "k" + sent.size(), value)));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }
}
