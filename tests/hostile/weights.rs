//! Damaged and hostile weights files: no panic, and no memory beyond the file's own size and 64 MiB.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use percept::model::Weights;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{ALLOWED, measured, turn};

/// Mutations of each file.
const MUTATIONS: usize = 1000;

/// What became of the files.
#[derive(Debug, Default)]
struct Tally {
    read: usize,
    refused: usize,
    /// The most that one reading allocated beyond its file's size.
    excess: usize,
}

impl Tally {
    /// Reads a file and measures.
    fn read(&mut self, what: &str, bytes: &[u8]) {
        // a panic is reported below, with the file's name
        std::panic::set_hook(Box::new(|_| {}));
        let read = || catch_unwind(AssertUnwindSafe(|| Weights::from_bytes(bytes).map(drop)));
        let (outcome, peak) = measured(read);
        drop(std::panic::take_hook());
        let excess = peak.saturating_sub(bytes.len());
        assert!(excess <= ALLOWED, "{what}: {peak} bytes for a file of {}", bytes.len());
        self.excess = self.excess.max(excess);
        match outcome {
            Ok(Ok(())) => self.read += 1,
            Ok(Err(error)) => {
                assert!(!error.message().is_empty());
                self.refused += 1;
            }
            Err(_) => panic!("{what}: it panics"),
        }
    }

    fn refused(&mut self, what: &str, bytes: &[u8]) {
        let before = self.refused;
        self.read(what, bytes);
        assert_eq!(self.refused, before + 1, "{what}: it is read");
    }
}

/// One of several kinds of damage.
fn mutate(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    const EXTREMES: [u64; 8] =
        [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..6) {
        0 => bytes[at] = random.random(),
        1 => bytes[at] ^= 1 << random.random_range(0..8),
        2 => bytes.truncate(at),
        3 => {
            let value = EXTREMES[random.random_range(0..EXTREMES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.random_range(0..4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&value[..width]);
        }
        4 => {
            let end = random.random_range(at..bytes.len().min(at + 64));
            bytes.drain(at..end);
        }
        _ => {
            let end = random.random_range(at..bytes.len().min(at + 64));
            let piece = bytes[at..end].to_vec();
            let to = random.random_range(0..bytes.len());
            bytes.splice(to..to, piece);
        }
    }
}

fn golden(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pth");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    paths.sort();
    let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
    paths.into_iter().map(named).collect()
}

/// The same archive with all checksums zero, so that damage goes deeper than to the checksums.
fn without_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let headers: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, w)| *w == b"PK\x01\x02").map(|(at, _)| at).collect();
    headers.iter().for_each(|at| bytes[at + 16..at + 20].fill(0));
    bytes
}

fn position(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("the bytes are in the file")
}

/// A zip archive of one uncompressed entry, `x/data.pkl`, without a checksum.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let (name, size) = (b"x/data.pkl", (pickle.len() as u32).to_le_bytes());
    let fields =
        [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &size, &size, &[name.len() as u8, 0, 0, 0]].concat();
    let local = [b"PK\x03\x04", &fields[..], name, pickle].concat();
    let central = [b"PK\x01\x02\x14\x00", &fields[..], &[0; 14], name].concat();
    let end = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &(central.len() as u32).to_le_bytes(),
        &(local.len() as u32).to_le_bytes(),
        &[0, 0],
    ];
    [local, central, end.concat()].concat()
}

/// What a pickle says of a tensor: its name, and the view of a storage that it is.
fn tensor(name: &str, storage: &str, key: &str, count: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let long = |value: &i64| [&[0x8a, 8][..], &value.to_le_bytes()].concat();
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let tuple = |values: &[i64]| [b"(", &values.iter().flat_map(long).collect::<Vec<u8>>()[..], b"t"].concat();
    let class = format!("ctorch\n{storage}\n");
    let description =
        [b"(", &text("storage")[..], class.as_bytes(), &text(key), &text("cpu"), &long(&count), b"tQ"].concat();
    let function = b"ctorch._utils\n_rebuild_tensor_v2\n(";
    [&text(name)[..], function, &description, b"K\x00", &tuple(shape), &tuple(strides), b"\x89}tR"].concat()
}

/// A pickle of one tensor in a state dict: a view of a storage of `count` numbers.
fn view(shape: &[i64], strides: &[i64], count: i64) -> Vec<u8> {
    [b"\x80\x02}", &tensor("w", "FloatStorage", "0", count, shape, strides)[..], b"s."].concat()
}

/// An old file whose tensors all are one storage of halves, with things that nobody needs in its pickle.
fn shared(tensors: usize, count: i64, things: usize) -> Vec<u8> {
    let named = |i: usize| tensor(&format!("w{i}"), "HalfStorage", "0", count, &[count], &[1]);
    let state = [&b"\x80\x02}("[..], &(0..tensors).flat_map(named).collect::<Vec<u8>>(), b"u"].concat();
    [
        &b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."[..],
        &state,
        &b")0".repeat(things),
        b".\x80\x02]X\x01\x00\x00\x000a.",
        &count.to_le_bytes(),
        &vec![0; 2 * count as usize],
    ]
    .concat()
}

#[test]
fn hostile_files_are_refused_in_little_memory() {
    let _turn = turn();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for ending in ["pth", "safetensors"] {
        let mut tally = Tally::default();
        let mut corpus = golden(ending);
        let plain = corpus.iter().filter(|(_, bytes)| bytes.starts_with(b"PK"));
        let plain: Vec<_> =
            plain.map(|(name, b)| (format!("{name} without checksums"), without_checksums(b.clone()))).collect();
        corpus.extend(plain);
        for (name, bytes) in &corpus {
            for round in 0..MUTATIONS {
                let mut damaged = bytes.clone();
                for _ in 0..=random.next_u32() % 4 {
                    mutate(&mut damaged, &mut random);
                }
                tally.read(&format!("{name}, mutation {round}"), &damaged);
            }
            for length in 0..bytes.len().min(2000) {
                tally.read(&format!("{name}, {length} bytes"), &bytes[..length]);
            }
        }
        println!("{ending}: {} files, {tally:?}", corpus.len());
        // damage must reach beyond the first check: some damaged files are still whole enough
        assert!(tally.read > 100 && tally.refused > MUTATIONS, "{ending}: {tally:?}");
    }
    let mut tally = Tally::default();
    pickles(&mut tally);
    archives(&mut tally);
    headers(&mut tally);
    println!("made by hand: {tally:?}");
}

/// Pickles that ask for much.
fn pickles(tally: &mut Tally) {
    tally.read("a tensor whose storage is missing", &archive(&view(&[4], &[1], 4)));
    let huge = 1 << 40;
    for (shape, strides) in [(&[huge][..], &[0][..]), (&[huge, huge], &[0, 0]), (&[1 << 62, 4], &[1, 1]), (&[-1], &[1])]
    {
        tally.refused("a tensor of far too many numbers", &archive(&view(shape, strides, 4)));
    }
    tally.refused("a storage of far too many numbers", &archive(&view(&[4], &[1], i64::MAX)));

    let most = tally.read;
    tally.read("sixteen tensors of half a million halves, all the same", &shared(16, 1 << 19, 450_000));
    assert_eq!(tally.read, most + 1, "what may be shared is not read");
    tally.refused("a thousand tensors of half a million halves, all the same", &shared(1000, 1 << 19, 400_000));

    let repeated = |operation: &[u8], count: usize| [&b"\x80\x02"[..], &operation.repeat(count), b"."].concat();
    for operation in [&b")"[..], b"(", b"]", b"}", b"N", b"K\x01", b"K\x01\x94", b"\x89\x85", b"K\x01r\x01\x02\x03\x04"]
    {
        tally.refused(&format!("much of {operation:?}"), &archive(&repeated(operation, 20_000_000 / operation.len())));
    }
    let slots: Vec<u8> = (0..2_000_000u32).flat_map(|slot| [&b"r"[..], &slot.to_le_bytes()].concat()).collect();
    tally.refused("a memory of two million places", &archive(&[b"N", &slots[..], b"."].concat()));
    let doubling: Vec<u8> = (0..200).flat_map(|_| *b"q\x00h\x00\x86").collect();
    tally.refused("tuples that double two hundred times", &archive(&[b")", &doubling[..], b"."].concat()));
    for length in [
        &b"X\xff\xff\xff\xff"[..],
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\xff",
        b"T\xff\xff\xff\xff",
    ] {
        tally.refused("a text of gigabytes", &archive(length));
    }
}

/// Archives that claim much.
fn archives(tally: &mut Tally) {
    let golden = golden("pth");
    let bytes = |name: &str| golden.iter().find(|(found, _)| found == name).unwrap().1.clone();
    let plain = bytes("plain.pth");
    let first = position(&plain, b"PK\x01\x02");
    let end = position(&plain, b"PK\x05\x06");
    // sizes in the directory: compressed, uncompressed, both
    for fields in [&[20usize][..], &[24], &[20, 24]] {
        for size in [0xffff_fffeu32, 0xffff_ffff, 0x7fff_ffff, 1 << 30] {
            let mut claimed = plain.clone();
            for field in fields {
                claimed[first + field..first + field + 4].copy_from_slice(&size.to_le_bytes());
            }
            tally.refused(&format!("an entry of {size} bytes"), &claimed);
            tally.refused(&format!("an entry of {size} bytes, unchecked"), &without_checksums(claimed));
        }
    }
    // the number of entries and the size of the directory
    for (field, width) in [(8, 2), (10, 2), (12, 4), (16, 4)] {
        let mut claimed = plain.clone();
        claimed[end + field..end + field + width].fill(0xff);
        tally.read("a directory that claims to be large", &claimed);
    }
    tally.refused("sixteen megabytes of zeros, deflated", &bytes("bomb.pth"));

    // entries that all are one and the same place
    let one = archive(b"}.");
    let at = position(&one, b"PK\x01\x02");
    let entry = &one[at..position(&one, b"PK\x05\x06")];
    let entries = 1_000_000;
    let mut many = one[..at].to_vec();
    many.extend(entry.repeat(entries));
    let length = many.len() - at;
    many.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff");
    many.extend((length as u32).to_le_bytes());
    many.extend((at as u32).to_le_bytes());
    many.extend([0, 0]);
    tally.refused("a million entries", &many);
    tally.refused("a hundred megabytes without an end", &[&b"PK\x03\x04"[..], &vec![0; 100 << 20]].concat());
    tally.refused("a hundred megabytes of ends", &b"PK\x05\x06".repeat(25 << 20));

    // an old file whose storage claims to be large, and one that claims a key twice
    let old = bytes("old.pth");
    let storage = position(&old, &[108, 0, 0, 0, 0, 0, 0, 0]);
    for count in [u64::MAX, u64::MAX / 4, 1 << 40, 109] {
        let mut claimed = old.clone();
        claimed[storage..storage + 8].copy_from_slice(&count.to_le_bytes());
        tally.refused("a storage of an old file that claims to be large", &claimed);
    }
}

/// Headers of safetensors that claim or hold much.
fn headers(tally: &mut Tally) {
    let with = |header: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header].concat();
    let claiming = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    for length in [3, 1 << 20, 1 << 31, 1 << 62, u64::MAX] {
        tally.refused(&format!("a header of {length} bytes"), &claiming(length));
    }
    let entry = |i: usize| format!(r#""{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},"#);
    for count in [38_000, 1_000_000] {
        let entries: String = (0..count).map(entry).collect();
        let header = format!("{{{}}}", entries.trim_end_matches(','));
        tally.read(&format!("{count} parameters of nothing"), &with(header.as_bytes()));
    }
    let zeros = "0,".repeat(1_040_000);
    let axes = format!(r#"{{"w":{{"dtype":"F32","shape":[{}],"data_offsets":[0,0]}}}}"#, zeros.trim_end_matches(','));
    tally.read("a tensor of a million axes", &with(axes.as_bytes()));
    tally.refused("brackets in brackets", &with(&b"[".repeat(2_000_000)));
    let maps = b"{\"a\":".repeat(400_000);
    tally.refused("maps in maps", &with(&maps));
    for shape in ["[1000000000000]", "[4294967296,4294967296]", "[18446744073709551615]", "[-1]"] {
        let header = format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}}}"#);
        tally.refused(&format!("a tensor of {shape}"), &[with(header.as_bytes()), vec![0; 4]].concat());
    }
}
