//! The handwritten digits inside the binary.

use std::cell::OnceCell;
use std::io::Read;
use std::sync::{Arc, LazyLock};

use flate2::read::GzDecoder;
use safetensors::SafeTensors;

use super::entry::Source;
use super::{Entry, ImageSet, Packed};
use crate::error::{Error, Kind, Result};
use crate::lang::{choices, function};

/// 8,000 digits to train with and 2,000 to test with: see assets/SOURCES.md.
static FILE: &[u8] = include_bytes!("../../assets/mnist.safetensors.gz");

/// Which of the digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitsPart {
    /// Those to learn from.
    Train,
    /// Those that were not learned from.
    Test,
}

choices!(DigitsPart { "train" => Train, "test" => Test });

/// The images of a part, and their digits.
type Part = (Arc<Packed>, Vec<u8>);

/// Both parts, unpacked when they are first asked for.
static PARTS: LazyLock<Option<[Part; 2]>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    GzDecoder::new(FILE).read_to_end(&mut bytes).ok()?;
    let file = SafeTensors::deserialize(&bytes).ok()?;
    let part = |name: &str| {
        let images = file.tensor(&format!("{name}.images")).ok()?;
        let &[_, height, width] = images.shape() else { return None };
        let labels = file.tensor(&format!("{name}.labels")).ok()?.data().to_vec();
        Some((Arc::new(Packed { bytes: images.data().to_vec(), width, height, channels: 1 }), labels))
    };
    Some([part("train")?, part("test")?])
});

/// Handwritten digits of MNIST, 28 × 28 grey pixels, labelled "0" to "9": 8,000 to train with, or 2,000 to test with.
///
/// ```rhai
/// digits(part="test")
/// ```
#[function(source = "LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998")]
pub fn digits(
    /// "train" for the 8,000 to learn from, "test" for the 2,000 others.
    #[default("train")]
    part: DigitsPart,
) -> Result<ImageSet> {
    thread_local! {
        // what networks make of a set is kept with it
        static SETS: [OnceCell<ImageSet>; 2] = const { [OnceCell::new(), OnceCell::new()] };
    }
    SETS.with(|[train, test]| {
        let known = if part == DigitsPart::Train { train } else { test };
        match known.get() {
            Some(set) => Ok(set.clone()),
            None => made(part).map(|set| known.get_or_init(|| set).clone()),
        }
    })
}

fn made(part: DigitsPart) -> Result<ImageSet> {
    let damaged = || Error::new(Kind::Internal, "the digits in this program are damaged");
    let [train, test] = PARTS.as_ref().ok_or_else(damaged)?;
    let (name, (images, labels)) = match part {
        DigitsPart::Train => ("train", train),
        DigitsPart::Test => ("test", test),
    };
    let entry = |(index, label): (usize, &u8)| {
        let source = Source::Packed(Arc::clone(images), index);
        Entry::new(format_args!("{name} {index}"), Some(u32::from(*label)), source)
    };
    ImageSet::new(labels.iter().enumerate().map(entry).collect(), (0..10).map(|digit| digit.to_string()).collect())
}
