import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;
import com.fasterxml.jackson.databind.ObjectMapper;

/**
 * Reads a table with Iceberg's own library. Written as tests/python does it: what is said of the
 * table, then a line a row, or with filters a line a filter.
 */
public final class ReadTable {
  private static final String FILTER = "--filter=";
  private static final String SELECT = "--select=";
  /** `column op value`: a number, or text in quotes, which in a column of another type is its value. */
  private static final Pattern COMPARISON =
      Pattern.compile("(\\w+) (<=|>=|<|>|=|like) (?:'(.*)'|(\\S+))");
  private static final Pattern NULLNESS = Pattern.compile("(\\w+) is (not )?null");
  private static final BigInteger MICROS_PER_SECOND = BigInteger.valueOf(1_000_000);
  private static final int NANOS_PER_MICRO = 1000;

  private ReadTable() {}

  /** The table; filters and columns, if any; then the properties of the catalog, each as key=value. */
  public static void main(String[] args) throws Exception {
    Map<String, String> properties = new HashMap<>();
    List<String> filters = new ArrayList<>();
    String[] selected = null;
    for (int i = 1; i < args.length; i++) {
      if (args[i].startsWith(FILTER)) {
        filters.add(args[i].substring(FILTER.length()));
      } else if (args[i].startsWith(SELECT)) {
        selected = args[i].substring(SELECT.length()).split(",");
      } else {
        String[] pair = args[i].split("=", 2);
        properties.put(pair[0], pair[1]);
      }
    }
    Catalog catalog = CatalogUtil.buildIcebergCatalog("local", properties, new Configuration());
    Table table = catalog.loadTable(TableIdentifier.parse(args[0]));
    ObjectMapper json = new ObjectMapper();
    StringBuilder out = new StringBuilder();
    Map<String, Object> about = new TreeMap<>();
    about.put("snapshot", table.currentSnapshot() == null ? null : table.currentSnapshot().snapshotId());
    out.append(json.writeValueAsString(about)).append('\n');
    if (filters.isEmpty()) {
      for (Map<String, Object> row : rows(table, Expressions.alwaysTrue(), selected)) {
        out.append(json.writeValueAsString(row)).append('\n');
      }
    }
    for (String text : filters) {
      Expression filter = parsed(text, table.schema());
      Map<String, Object> answer = new TreeMap<>();
      answer.put("filter", text);
      answer.put("files", planned(table, filter));
      answer.put("rows", rows(table, filter, selected));
      out.append(json.writeValueAsString(answer)).append('\n');
    }
    System.out.print(out);
  }

  private static int planned(Table table, Expression filter) throws Exception {
    int files = 0;
    try (CloseableIterable<FileScanTask> tasks = table.newScan().filter(filter).planFiles()) {
      for (FileScanTask task : tasks) {
        files++;
      }
    }
    return files;
  }

  private static List<Map<String, Object>> rows(Table table, Expression filter, String[] selected)
      throws Exception {
    IcebergGenerics.ScanBuilder scan = IcebergGenerics.read(table).where(filter);
    if (selected != null) {
      scan = scan.select(selected);
    }
    List<Map<String, Object>> all = new ArrayList<>();
    try (CloseableIterable<Record> rows = scan.build()) {
      for (Record row : rows) {
        Map<String, Object> values = plain(row);
        if (selected != null) {
          // A column that is only filtered by comes along.
          values.keySet().retainAll(List.of(selected));
        }
        all.add(values);
      }
    }
    return all;
  }

  private static Expression parsed(String text, Schema schema) {
    Matcher nullness = NULLNESS.matcher(text);
    if (nullness.matches()) {
      String column = nullness.group(1);
      return nullness.group(2) == null ? Expressions.isNull(column) : Expressions.notNull(column);
    }
    Matcher comparison = COMPARISON.matcher(text);
    if (!comparison.matches()) {
      throw new IllegalArgumentException("not a filter: " + text);
    }
    String column = comparison.group(1);
    String quoted = comparison.group(3);
    Object value =
        quoted == null ? number(comparison.group(4), schema.findType(column)) : quoted.replace("''", "'");
    // To this library's reader of rows, null is less than anything.
    Expression there = Expressions.notNull(column);
    switch (comparison.group(2)) {
      case "<":
        return Expressions.and(there, Expressions.lessThan(column, value));
      case "<=":
        return Expressions.and(there, Expressions.lessThanOrEqual(column, value));
      case "=":
        return Expressions.equal(column, value);
      case ">=":
        return Expressions.greaterThanOrEqual(column, value);
      case ">":
        return Expressions.greaterThan(column, value);
      default:
        if (quoted == null || !quoted.endsWith("%")) {
          throw new IllegalArgumentException("like takes 'text%': " + text);
        }
        return Expressions.startsWith(column, quoted.substring(0, quoted.length() - 1).replace("''", "'"));
    }
  }

  private static Object number(String text, Type type) {
    switch (type.typeId()) {
      case BOOLEAN:
        return Boolean.valueOf(text);
      case DECIMAL:
        return new BigDecimal(text);
      case FLOAT:
      case DOUBLE:
        return Double.valueOf(text);
      default:
        return Long.valueOf(text);
    }
  }

  private static Map<String, Object> plain(Record row) {
    Map<String, Object> values = new TreeMap<>();
    List<Types.NestedField> fields = row.struct().fields();
    for (int i = 0; i < fields.size(); i++) {
      Object value = row.get(i);
      // The files do not mark a column of UUIDs as one, so this library gives its 16 bytes.
      if (value instanceof byte[] && fields.get(i).type().typeId() == Type.TypeID.UUID) {
        ByteBuffer bytes = ByteBuffer.wrap((byte[]) value);
        value = new UUID(bytes.getLong(), bytes.getLong());
      }
      values.put(fields.get(i).name(), plain(value));
    }
    return values;
  }

  /** Microseconds since the epoch, whole also where they are far from it. */
  private static long micros(Instant moment) {
    BigInteger seconds = BigInteger.valueOf(moment.getEpochSecond()).multiply(MICROS_PER_SECOND);
    return seconds.add(BigInteger.valueOf(moment.getNano() / NANOS_PER_MICRO)).longValueExact();
  }

  /** The one form of all readers: `plain` of tests/python/lake.py says it. */
  private static Object plain(Object value) {
    if (value instanceof OffsetDateTime) {
      return micros(((OffsetDateTime) value).toInstant());
    }
    if (value instanceof LocalDateTime) {
      return micros(((LocalDateTime) value).toInstant(ZoneOffset.UTC));
    }
    if (value instanceof LocalTime) {
      return ((LocalTime) value).toNanoOfDay() / NANOS_PER_MICRO;
    }
    if (value instanceof Float || value instanceof Double) {
      // As others widen it: the nearest decimal of a float is another number.
      double wide = ((Number) value).doubleValue();
      return Double.isFinite(wide) ? wide : String.valueOf(wide);
    }
    if (value instanceof BigDecimal) {
      return ((BigDecimal) value).toPlainString();
    }
    if (value instanceof byte[]) {
      return plain(ByteBuffer.wrap((byte[]) value));
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
          .forEach((key, it) -> pairs.add(Arrays.asList(plain(key), plain(it))));
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
