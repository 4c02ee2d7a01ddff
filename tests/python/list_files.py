"""Lists all files that a table of this machine refers to, by any of its snapshots, as JSON."""

import json

import lake


def local(uri):
    """Java writes `file:/…`, everyone else `file:///…`."""
    return uri.removeprefix("file:").removeprefix("//")


def main():
    table = lake.open_table(lake.arguments(__doc__).parse_args())
    files = {table.metadata_location}
    files.update(entry.metadata_file for entry in table.metadata.metadata_log)
    for snapshot in table.metadata.snapshots:
        files.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in files:
                continue
            files.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
            files.update(entry.data_file.file_path for entry in entries)
    print(json.dumps(sorted(map(local, files))))


if __name__ == "__main__":
    main()
