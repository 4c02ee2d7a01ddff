//! Files: copied with their digest, and made durable.

use crate::error::BackupError;
use crate::manifest::FileEntry;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Read and written at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Permission bits of a mode.
const PERMISSIONS: u32 = 0o7777;

/// Copies a file to where none is yet. Without a `mode` it gets that of the original.
pub(crate) fn file(from: &Path, to: &Path, mode: Option<u32>) -> Result<FileEntry, BackupError> {
    let mut reader = File::open(from).map_err(BackupError::io(from))?;
    let metadata = reader.metadata().map_err(BackupError::io(from))?;
    let mode = mode.unwrap_or(self::mode(&metadata)) & PERMISSIONS;
    let mut writer = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(BackupError::io(to))?;
    let entry = pour(&mut reader, &mut writer, mode).map_err(BackupError::io(to))?;
    // A file that is made with a mode has less of it, by the umask.
    let permissions = Permissions::from_mode(mode);
    writer
        .set_permissions(permissions)
        .map_err(BackupError::io(to))?;
    writer.sync_all().map_err(BackupError::io(to))?;
    Ok(entry)
}

/// Its permission bits.
pub(crate) fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & PERMISSIONS
}

/// What a file holds now.
pub(crate) fn look(path: &Path) -> Result<FileEntry, BackupError> {
    let mut reader = File::open(path).map_err(BackupError::io(path))?;
    pour(&mut reader, &mut io::sink(), 0).map_err(BackupError::io(path))
}

fn pour(reader: &mut impl Read, writer: &mut impl Write, mode: u32) -> io::Result<FileEntry> {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&chunk[..read]);
        writer.write_all(&chunk[..read])?;
        bytes += read as u64;
    }
    let sha256 = hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string can't fail.
            let _infallible = write!(text, "{byte:02x}");
            text
        });
    Ok(FileEntry {
        bytes,
        sha256,
        mode,
    })
}

/// A folder that only this user can enter, and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(BackupError::io(path))
}

/// Gives a folder its permission bits, durably.
pub(crate) fn set_mode(folder: &Path, mode: u32) -> Result<(), BackupError> {
    // Opened before: it may not be readable then.
    let opened = File::open(folder).map_err(BackupError::io(folder))?;
    let permissions = Permissions::from_mode(mode & PERMISSIONS);
    opened
        .set_permissions(permissions)
        .map_err(BackupError::io(folder))?;
    opened.sync_all().map_err(BackupError::io(folder))
}

/// Makes a folder's names durable.
pub(crate) fn sync(folder: &Path) -> Result<(), BackupError> {
    let opened = File::open(folder).map_err(BackupError::io(folder))?;
    opened.sync_all().map_err(BackupError::io(folder))
}

/// Removes what a try left behind that did not come to its end.
pub(crate) fn remove_unfinished(path: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::Io {
            path: path.to_owned(),
            error,
        }),
    }
}
