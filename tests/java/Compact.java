import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.RewriteFiles;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.GenericAppenderFactory;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.data.parquet.GenericParquetReaders;
import org.apache.iceberg.exceptions.CommitFailedException;
import org.apache.iceberg.exceptions.CommitStateUnknownException;
import org.apache.iceberg.exceptions.ValidationException;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.DataWriter;
import org.apache.iceberg.io.OutputFileFactory;
import org.apache.iceberg.parquet.Parquet;

/**
 * Compacts a table while others commit to it, with Iceberg's own library: in each round the data
 * files of the partition that has most of them become one, and all manifests become one.
 */
public final class Compact {
  /** How long the table may take to appear, and to have rows; and others may be quicker. */
  private static final long PATIENCE_MS = 120_000;
  private static final long LOOK_EVERY_MS = 50;

  private Compact() {}

  /** The table, how many rounds, then the properties of the catalog, each as key=value. */
  public static void main(String[] args) throws Exception {
    Map<String, String> properties = new HashMap<>();
    for (int i = 2; i < args.length; i++) {
      String[] pair = args[i].split("=", 2);
      properties.put(pair[0], pair[1]);
    }
    Catalog catalog = CatalogUtil.buildIcebergCatalog("local", properties, new Configuration());
    Table table = begun(catalog, TableIdentifier.parse(args[0]));
    int rounds = Integer.parseInt(args[1]);
    for (int round = 1; round <= rounds; round++) {
      int number = round;
      repeat("the files of round " + round, () -> rewritten(table, number));
      repeat("the manifests of round " + round, () -> manifestsRewritten(table));
    }
  }

  /** Until it is done: others may be quicker, or nobody knows. */
  private static void repeat(String what, Callable<Boolean> step) throws Exception {
    long until = System.currentTimeMillis() + PATIENCE_MS;
    while (!step.call()) {
      if (System.currentTimeMillis() >= until) {
        throw new IllegalStateException(what + " are never rewritten: others are always quicker");
      }
      Thread.sleep(LOOK_EVERY_MS);
    }
  }

  private static Table begun(Catalog catalog, TableIdentifier name) throws InterruptedException {
    long until = System.currentTimeMillis() + PATIENCE_MS;
    while (System.currentTimeMillis() < until) {
      if (catalog.tableExists(name)) {
        Table table = catalog.loadTable(name);
        Snapshot now = table.currentSnapshot();
        if (now != null && !"0".equals(now.summary().get("total-data-files"))) {
          return table;
        }
      }
      Thread.sleep(LOOK_EVERY_MS);
    }
    throw new IllegalStateException(name + " has no rows");
  }

  /** Whether the files of a partition were made one. */
  private static boolean rewritten(Table table, int round) throws Exception {
    table.refresh();
    Map<String, List<DataFile>> partitions = new TreeMap<>();
    try (CloseableIterable<FileScanTask> tasks = table.newScan().planFiles()) {
      for (FileScanTask task : tasks) {
        PartitionSpec spec = task.spec();
        String at = spec.specId() + "/" + spec.partitionToPath(task.file().partition());
        partitions.computeIfAbsent(at, it -> new ArrayList<>()).add(task.file().copy());
      }
    }
    List<DataFile> most = List.of();
    for (List<DataFile> files : partitions.values()) {
      most = files.size() > most.size() ? files : most;
    }
    RewriteFiles rewrite = table.newRewrite().validateFromSnapshot(table.currentSnapshot().snapshotId());
    most.forEach(rewrite::deleteFile);
    rewrite.addFile(joined(table, most));
    rewrite.set("stranger.rewrites", Integer.toString(round));
    try {
      rewrite.commit();
      return true;
    } catch (CommitFailedException | CommitStateUnknownException | ValidationException e) {
      return false;
    }
  }

  private static DataFile joined(Table table, List<DataFile> files) throws Exception {
    DataFile first = files.get(0);
    PartitionSpec spec = table.specs().get(first.specId());
    OutputFileFactory names =
        OutputFileFactory.builderFor(table, 1, 1)
            .format(FileFormat.PARQUET)
            .operationId(UUID.randomUUID().toString())
            .build();
    DataWriter<Record> writer =
        new GenericAppenderFactory(table.schema(), spec)
            .setAll(table.properties())
            .newDataWriter(names.newOutputFile(spec, first.partition()), FileFormat.PARQUET, first.partition());
    try (writer) {
      for (DataFile file : files) {
        try (CloseableIterable<Record> rows =
            Parquet.read(table.io().newInputFile(file.location()))
                .project(table.schema())
                .createReaderFunc(it -> GenericParquetReaders.buildReader(table.schema(), it))
                .build()) {
          rows.forEach(writer::write);
        }
      }
    }
    return writer.toDataFile();
  }

  private static boolean manifestsRewritten(Table table) {
    table.refresh();
    try {
      table.rewriteManifests().rewriteIf(it -> true).clusterBy(it -> "one").commit();
      return true;
    } catch (CommitFailedException | CommitStateUnknownException | ValidationException e) {
      return false;
    }
  }
}
