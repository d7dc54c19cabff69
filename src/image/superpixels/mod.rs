//! Superpixels: an image cut into pieces of similar colour.

mod colors;
mod felzenszwalb;
mod slic;

use std::fmt;
use std::sync::Arc;

pub use felzenszwalb::{Felzenszwalb, felzenszwalb};
pub use slic::{Slic, slic};

use super::{Color, Image, WHITE};
use crate::error::{Error, Kind, Result};
use crate::job::{Interrupt, Job};
use crate::lang::{Options, Provenance, choices, function, value_type};
use crate::tensor::TensorValue;

/// The colour of the lines between superpixels.
const LINES: Color = [1.0, 0.9, 0.0];

/// How an image is cut into superpixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Clusters of colour and place, of about the same size.
    Slic,
    /// Regions whose inside varies less than their borders, of any size.
    Felzenszwalb,
}
choices!(Method { "slic" => Slic, "felzenszwalb" => Felzenszwalb });

/// How an image is cut into superpixels, with what each method needs.
#[derive(Clone, Debug, Options)]
pub struct Cut {
    /// About how many superpixels "slic" makes; the others come out of the image.
    #[default(50)]
    #[range(1..=10000)]
    pub segments: usize,
    /// "slic", whose pieces have about the same size, or "felzenszwalb", whose pieces follow the regions of the image.
    #[default("slic")]
    pub method: Method,
    /// For "slic": how much more place counts than colour; 1 follows edges closely, 100 gives squares.
    #[default(10)]
    #[range(0.0001..=1000000.0)]
    pub compactness: f64,
    /// The image is first blurred with a Gaussian of so many pixels; 0 for "slic" and 0.8 for "felzenszwalb" if not given.
    #[default]
    #[range(0..=100)]
    pub sigma: Option<f64>,
    /// For "felzenszwalb": the larger, the larger the pieces.
    #[default(100)]
    #[range(0..=1000000)]
    pub scale: f64,
    /// For "felzenszwalb": the least number of pixels of a piece.
    #[default(20)]
    #[range(1..)]
    pub min_size: usize,
}

impl Cut {
    /// The superpixels of an image.
    ///
    /// # Errors
    /// The work was interrupted.
    pub fn of(&self, image: &Image, interrupt: &Interrupt) -> Result<Superpixels> {
        let &Self { segments, method, compactness, sigma, scale, min_size } = self;
        match method {
            Method::Slic => {
                let sigma = sigma.unwrap_or(0.0);
                slic(image, &Slic { segments, compactness, sigma }, interrupt)
            }
            Method::Felzenszwalb => {
                let sigma = sigma.unwrap_or(0.8);
                felzenszwalb(image, &Felzenszwalb { scale, sigma, min_size }, interrupt)
            }
        }
    }
}

/// An image cut into superpixels.
#[derive(Clone, Debug)]
pub struct Superpixels {
    /// The image, a cut-out on white.
    pub image: Image,
    /// How it was cut.
    pub method: Method,
    labels: Arc<Vec<u32>>,
    count: usize,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    Superpixels,
    "superpixels",
    "superpixels",
    "An image cut into pieces of similar colour, each with a number from 0.",
    provenance
);

impl fmt::Display for Superpixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} superpixel{plural} ({})", self.count, self.method)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slic => "SLIC",
            Self::Felzenszwalb => "Felzenszwalb and Huttenlocher",
        })
    }
}

impl Superpixels {
    /// The pieces that `marks` (any numbers, one for each pixel) tell apart. They are numbered anew, in the order of the
    /// marks.
    fn new(image: &Image, method: Method, marks: &[u32]) -> Self {
        let mut used: Vec<u32> = marks.to_vec();
        used.sort_unstable();
        used.dedup();
        // every mark is among those used
        let number = |mark: &u32| used.binary_search(mark).unwrap_or_default() as u32;
        let labels = Arc::new(marks.iter().map(number).collect());
        Self { image: image.flatten(WHITE), method, labels, count: used.len(), provenance: None }
    }

    /// The number of the superpixel that each pixel is in, row by row, each below [`count`](Self::count).
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The pixels of each superpixel: their places, row by row.
    pub fn pixels(&self) -> Vec<Vec<u32>> {
        let mut pixels = vec![Vec::new(); self.count];
        for (place, label) in self.labels.iter().enumerate() {
            pixels[*label as usize].push(place as u32);
        }
        pixels
    }

    /// The image with lines between the superpixels: each pixel whose right or lower neighbour is in another one.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn boundaries(&self) -> Result<Image> {
        let (width, height) = (self.image.width(), self.image.height());
        let labels = &self.labels;
        let on_line: Vec<bool> = (0..width * height)
            .map(|place| {
                let right = (place + 1) % width != 0 && labels[place + 1] != labels[place];
                right || place + width < width * height && labels[place + width] != labels[place]
            })
            .collect();
        self.image.painted(&on_line, LINES, 1.0)
    }

    /// The image with each superpixel in its mean colour.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn means(&self) -> Result<Image> {
        let mut planes = Vec::with_capacity(3 * self.labels.len());
        for plane in self.image.channels() {
            let mut sums = vec![(0f64, 0f64); self.count];
            for (value, label) in plane.iter().zip(self.labels.iter()) {
                let (sum, count) = &mut sums[*label as usize];
                *sum += f64::from(*value);
                *count += 1.0;
            }
            planes.extend(self.labels.iter().map(|label| {
                let (sum, count) = sums[*label as usize];
                (sum / count) as f32
            }));
        }
        Image::from_planes(self.image.width(), self.image.height(), planes, None)
    }
}

impl Image {
    /// The image with a colour mixed into the pixels that are `marked`, one for each pixel; `opacity` is from 0 to 1.
    ///
    /// # Errors
    /// There are more or fewer marks than pixels.
    pub fn painted(&self, marked: &[bool], color: Color, opacity: f32) -> Result<Self> {
        if marked.len() != self.width() * self.height() {
            let message = format!("{} marks for an image of {}×{}", marked.len(), self.width(), self.height());
            return Err(Error::new(Kind::Internal, message));
        }
        let mix = |(value, marked): (&f32, &bool), color: f32| {
            if *marked { value + (color - value) * opacity } else { *value }
        };
        let channels = self.channels().into_iter().zip(color);
        let planes = channels.flat_map(|(plane, color)| plane.iter().zip(marked).map(move |pair| mix(pair, color)));
        Self::from_planes(self.width(), self.height(), planes.collect(), self.alpha().map(<[f32]>::to_vec))
    }
}

/// Cuts an image into superpixels: pieces of pixels that lie together and have similar colours.
///
/// "slic" clusters colour and place, so that its pieces have about the same size; "felzenszwalb" joins regions as long as
/// the border between them is no stronger than what varies inside, so that a plain sky is one piece. Both give what
/// scikit-image gives.
///
/// ```rhai
/// superpixels(photo("coffee"), segments=80).count
/// ```
#[function(
    source = "Achanta et al., SLIC Superpixels, 2012; Felzenszwalb and Huttenlocher, Efficient Graph-Based Image \
Segmentation, 2004; scikit-image 0.26, slic and felzenszwalb"
)]
pub fn superpixels(
    job: &Job,
    /// The image; a cut-out is put on white.
    image: &Image,
    #[options] cut: &Cut,
) -> Result<Superpixels> {
    cut.of(image, job.interrupt())
}

/// The number of the superpixel that each pixel is in, a tensor [height, width] of whole numbers from 0.
///
/// ```rhai
/// superpixels(photo("coffee")).labels.shape
/// ```
#[function(property)]
fn labels(
    /// The superpixels.
    superpixels: &Superpixels,
) -> Result<TensorValue> {
    let labels = superpixels.labels.iter().map(|label| *label as f32).collect();
    TensorValue::from_values(labels, &[superpixels.image.height(), superpixels.image.width()])
}

/// How many superpixels there are.
///
/// ```rhai
/// superpixels(photo("coffee"), segments=20).count
/// ```
#[function(property, name = "count")]
fn count_word(
    /// The superpixels.
    superpixels: &Superpixels,
) -> Result<usize> {
    Ok(superpixels.count)
}

/// The image with lines between its superpixels.
///
/// ```rhai
/// superpixels(photo("coffee")).boundaries
/// ```
#[function(property)]
fn boundaries(
    /// The superpixels.
    superpixels: &Superpixels,
) -> Result<Image> {
    superpixels.boundaries()
}

/// The image with each superpixel in its mean colour.
///
/// ```rhai
/// superpixels(photo("coffee"), segments=200).means
/// ```
#[function(property)]
fn means(
    /// The superpixels.
    superpixels: &Superpixels,
) -> Result<Image> {
    superpixels.means()
}
