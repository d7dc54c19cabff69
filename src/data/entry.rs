//! One image of a set: its name, its label, and where its pixels are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::image::{Image, gallery};

/// Images of one size as bytes: of each image its channels, one or three, one after the other.
#[derive(Debug)]
pub struct Packed {
    /// All images, one after the other.
    pub bytes: Vec<u8>,
    /// Pixels along the width.
    pub width: usize,
    /// Pixels along the height.
    pub height: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
}

impl Packed {
    /// Bytes of one image.
    pub fn stride(&self) -> usize {
        self.width * self.height * self.channels
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.stride().max(1)
    }

    fn image(&self, index: usize) -> Result<Image> {
        let bytes = self.bytes.chunks_exact(self.stride().max(1)).nth(index).unwrap_or_default();
        let plane: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte) / 255.0).collect();
        let planes = if self.channels == 1 { plane.repeat(3) } else { plane };
        Image::from_planes(self.width, self.height, planes, None)
    }
}

/// Where the pixels of an image are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File(PathBuf),
    Gallery(String),
    Packed(Arc<Packed>, usize),
    Image(Image),
}

/// One image of a set, which is read when it is asked for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is called: the path of its file, its name in the gallery, or its number.
    pub name: Arc<str>,
    /// Its class, as a place in the set's list of classes.
    pub label: Option<u32>,
    pub(super) source: Source,
}

impl Entry {
    pub(super) fn new(name: impl fmt::Display, label: Option<u32>, source: Source) -> Self {
        Self { name: name.to_string().into(), label, source }
    }

    /// Its pixels, read anew each time.
    ///
    /// # Errors
    /// The file cannot be read, or is no image.
    pub fn read(&self) -> Result<Image> {
        match &self.source {
            Source::File(path) => Image::load(path),
            Source::Gallery(name) => gallery(name),
            Source::Packed(packed, index) => packed.image(*index),
            Source::Image(image) => Ok(image.clone()),
        }
    }
}
