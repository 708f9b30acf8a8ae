//! Which layout on disk suits blobs of which size: `cargo run --release -p millrace-store --example blob_layouts`.
//!
//! Three layouts: SQLite rows with one transaction a group, records appended to one file with one sync a group, one
//! file each (write, sync, rename, and one sync of the folder a group). Groups are of 32 (as many callers at once) and
//! of 100 (a batch), each durable before the next. Then random reads, and deletes. The folder is the first argument,
//! or a temporary one.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Row, SqliteConnection};

const SIZES: [usize; 7] = [256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Each measurement of writes takes this long, or writes so many bytes.
const WRITE_TIME: Duration = Duration::from_millis(1500);
const WRITE_MAX_BYTES: usize = 1 << 30;
const READS: usize = 10_000;

/// One way to keep blobs.
trait Layout {
    fn write(&mut self, group: &[(u64, &[u8])]);
    fn read(&mut self, number: u64, size: usize) -> usize;
    /// Removes these, as one group.
    fn delete(&mut self, numbers: &[u64]);
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = std::env::args().nth(1).map_or_else(|| folder.path().to_owned(), PathBuf::from);
    println!("layout         size      group  writes/s     MB/s   reads/s  deletes/s");
    for size in SIZES {
        for group in [32, 100] {
            measure("sqlite 4K", Box::new(Sqlite::new(&root.join("4.db"), 4096)), size, group);
            measure("sqlite 16K", Box::new(Sqlite::new(&root.join("16.db"), 16384)), size, group);
            measure("pack", Box::new(Pack::new(&root.join("pack"), size, false)), size, group);
            measure("pack fallocate", Box::new(Pack::new(&root.join("pack"), size, true)), size, group);
            measure("files", Box::new(Files::new(&root.join("files"))), size, group);
        }
    }
}

fn measure(name: &str, mut layout: Box<dyn Layout>, size: usize, group: usize) {
    let data: Vec<u8> = (0..size).map(|at| ((at * 7919) >> 3) as u8).collect();
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < WRITE_TIME && count as usize * size < WRITE_MAX_BYTES {
        let blobs: Vec<(u64, &[u8])> = (count..count + group as u64).map(|number| (number, &data[..])).collect();
        layout.write(&blobs);
        count += group as u64;
    }
    let writes = count as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let reads_wanted = READS.min((4 << 30) / size);
    for step in 0..reads_wanted as u64 {
        let number = step.wrapping_mul(7_919_999_983) % count;
        assert_eq!(layout.read(number, size), size);
    }
    let reads = reads_wanted as f64 / start.elapsed().as_secs_f64();
    let victims: Vec<u64> = (0..count).take(2000).collect();
    let start = Instant::now();
    victims.chunks(group).for_each(|chunk| layout.delete(chunk));
    let deletes = victims.len() as f64 / start.elapsed().as_secs_f64();
    let megabytes = writes * size as f64 / 1e6;
    println!("{name:<14} {size:>8} {group:>5} {writes:>9.0} {megabytes:>9.1} {reads:>9.0} {deletes:>9.0}");
}

struct Sqlite {
    runtime: tokio::runtime::Runtime,
    connection: SqliteConnection,
    path: PathBuf,
}

impl Sqlite {
    fn new(path: &Path, page: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = SqliteConnectOptions::from_str(&format!("sqlite://{}", path.display()))
            .expect("a name")
            .create_if_missing(true)
            .page_size(page)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await.expect("opens");
            sqlx::query("CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
                .execute(&mut connection)
                .await
                .expect("creates");
            connection
        });
        Self { runtime, connection, path: path.into() }
    }
}

impl Layout for Sqlite {
    fn write(&mut self, group: &[(u64, &[u8])]) {
        // One statement a group: a statement has a price of its own.
        let rows = vec!["(?,?)"; group.len()].join(",");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("INSERT INTO blobs VALUES {rows}")));
        for (number, data) in group {
            query = query.bind(*number as i64).bind(*data);
        }
        self.runtime.block_on(query.execute(&mut self.connection)).expect("writes");
    }

    fn read(&mut self, number: u64, _size: usize) -> usize {
        let query = sqlx::query("SELECT data FROM blobs WHERE id = ?").bind(number as i64);
        self.runtime.block_on(query.fetch_one(&mut self.connection)).expect("reads").get::<&[u8], _>(0).len()
    }

    fn delete(&mut self, numbers: &[u64]) {
        let marks = vec!["?"; numbers.len()].join(",");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM blobs WHERE id IN ({marks})")));
        for number in numbers {
            query = query.bind(*number as i64);
        }
        self.runtime.block_on(query.execute(&mut self.connection)).expect("deletes");
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _gone = std::fs::remove_file(format!("{}{end}", self.path.display()));
        }
    }
}

struct Pack {
    file: File,
    path: PathBuf,
    places: Vec<u64>,
    len: u64,
}

impl Pack {
    fn new(path: &Path, size: usize, allocate: bool) -> Self {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).expect("opens");
        if allocate {
            let most = (WRITE_MAX_BYTES + 100 * size) as u64;
            let keep = rustix::fs::FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&file, keep, 0, most).expect("allocates");
        }
        Self { file, path: path.into(), places: Vec::new(), len: 0 }
    }
}

impl Layout for Pack {
    fn write(&mut self, group: &[(u64, &[u8])]) {
        let headers: Vec<[u8; 48]> = group
            .iter()
            .map(|(number, data)| {
                let mut header = [0; 48];
                header[..8].copy_from_slice(&number.to_le_bytes());
                header[8..12].copy_from_slice(&crc32fast::hash(data).to_le_bytes());
                header
            })
            .collect();
        let mut slices = Vec::new();
        for (header, (_, data)) in headers.iter().zip(group) {
            self.places.push(self.len);
            self.len += (header.len() + data.len()) as u64;
            slices.extend([IoSlice::new(header), IoSlice::new(data)]);
        }
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let written = self.file.write_vectored(rest).expect("writes");
            IoSlice::advance_slices(&mut rest, written);
        }
        self.file.sync_data().expect("syncs");
    }

    fn read(&mut self, number: u64, size: usize) -> usize {
        let mut bytes = vec![0; 48 + size];
        self.file.read_exact_at(&mut bytes, self.places[number as usize]).expect("reads");
        let crc = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        assert_eq!(crc32fast::hash(&bytes[48..]), crc);
        bytes.len() - 48
    }

    /// In memory, until the pack is dropped whole.
    fn delete(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.places[*number as usize] = u64::MAX;
        }
    }
}

impl Drop for Pack {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).expect("removes");
    }
}

struct Files {
    root: PathBuf,
}

impl Files {
    fn new(root: &Path) -> Self {
        std::fs::create_dir(root).expect("a folder");
        Self { root: root.into() }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.root.join(number.to_string())
    }
}

impl Layout for Files {
    fn write(&mut self, group: &[(u64, &[u8])]) {
        // Eight threads, so that the syncs can meet in one commit of the file system.
        std::thread::scope(|scope| {
            for chunk in group.chunks(group.len().div_ceil(8)) {
                let root = &self.root;
                scope.spawn(move || {
                    for (number, data) in chunk {
                        let temporary = root.join(format!("t{number}"));
                        let mut file = File::create(&temporary).expect("creates");
                        file.write_all(data).expect("writes");
                        file.sync_data().expect("syncs");
                        std::fs::rename(&temporary, root.join(number.to_string())).expect("renames");
                    }
                });
            }
        });
        File::open(&self.root).expect("opens").sync_all().expect("syncs");
    }

    fn read(&mut self, number: u64, _size: usize) -> usize {
        std::fs::read(self.path(number)).expect("reads").len()
    }

    fn delete(&mut self, numbers: &[u64]) {
        for number in numbers {
            std::fs::remove_file(self.path(*number)).expect("removes");
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.root).expect("removes");
    }
}
