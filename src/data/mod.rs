//! Sets of images: where they come from, and what is done with all of them.

mod digits;
mod entry;
mod files;
mod formats;
mod gallery;
mod image_set;
mod parts;
mod scenes;
mod seen;
mod store;

pub use digits::{DigitsPart, digits};
pub use entry::{Entry, Packed};
pub use files::{Labels, Place, images};
pub use gallery::gallery_set;
pub use image_set::ImageSet;
pub use parts::Member;
pub use scenes::{SceneLabels, scenes};
pub use seen::SetOrStore;
pub use store::{Column, Kept, Row, Skipped, Store, merge, store};
