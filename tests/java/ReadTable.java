import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;
import com.fasterxml.jackson.databind.ObjectMapper;

/** Reads a table with Iceberg's own library. A line a row, in the form of tests/python. */
public final class ReadTable {
  private ReadTable() {}

  public static void main(String[] args) throws Exception {
    Map<String, String> properties = new HashMap<>();
    for (int i = 1; i < args.length; i++) {
      String[] pair = args[i].split("=", 2);
      properties.put(pair[0], pair[1]);
    }
    Catalog catalog = CatalogUtil.buildIcebergCatalog("local", properties, new Configuration());
    Table table = catalog.loadTable(TableIdentifier.parse(args[0]));
    ObjectMapper json = new ObjectMapper();
    StringBuilder out = new StringBuilder();
    Map<String, Object> about = new TreeMap<>();
    about.put("snapshot", table.currentSnapshot() == null ? null : table.currentSnapshot().snapshotId());
    out.append(json.writeValueAsString(about)).append('\n');
    try (CloseableIterable<Record> rows = IcebergGenerics.read(table).build()) {
      for (Record row : rows) {
        out.append(json.writeValueAsString(plain(row))).append('\n');
      }
    }
    System.out.print(out);
  }

  private static Map<String, Object> plain(Record row) {
    Map<String, Object> values = new TreeMap<>();
    List<Types.NestedField> fields = row.struct().fields();
    for (int i = 0; i < fields.size(); i++) {
      Object value = row.get(i);
      if (value instanceof byte[] && fields.get(i).type().typeId() == Type.TypeID.UUID) {
        ByteBuffer bytes = ByteBuffer.wrap((byte[]) value);
        value = new UUID(bytes.getLong(), bytes.getLong());
      }
      values.put(fields.get(i).name(), plain(value));
    }
    return values;
  }

  /** Times as microseconds, decimals as text: nothing is rounded on the way. */
  private static Object plain(Object value) {
    if (value instanceof OffsetDateTime) {
      return ChronoUnit.MICROS.between(Instant.EPOCH, ((OffsetDateTime) value).toInstant());
    }
    if (value instanceof LocalDateTime) {
      return ChronoUnit.MICROS.between(Instant.EPOCH, ((LocalDateTime) value).toInstant(ZoneOffset.UTC));
    }
    if (value instanceof java.math.BigDecimal) {
      return ((java.math.BigDecimal) value).toPlainString();
    }
    if (value instanceof Record) {
      return plain((Record) value);
    }
    if (value instanceof List) {
      List<Object> all = new ArrayList<>();
      for (Object item : (List<?>) value) {
        all.add(plain(item));
      }
      return all;
    }
    if (value instanceof Map) {
      List<Object> pairs = new ArrayList<>();
      new TreeMap<Object, Object>((Map<?, ?>) value)
          .forEach((key, it) -> pairs.add(List.of(plain(key), plain(it))));
      return pairs;
    }
    if (value instanceof ByteBuffer) {
      StringBuilder hex = new StringBuilder();
      ByteBuffer bytes = ((ByteBuffer) value).duplicate();
      while (bytes.hasRemaining()) {
        hex.append(String.format("%02x", bytes.get()));
      }
      return hex.toString();
    }
    if (value instanceof Boolean || value instanceof Number || value == null) {
      return value;
    }
    return value.toString();
  }
}
