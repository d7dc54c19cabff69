//! Points: rows of numbers, and what can be said of them: neighbours, clusters, maps, how alike two sets of them are.
//!
//! Points are in single precision; what is computed of them is in double precision. Every result is the same for any number of
//! threads: work is cut into parts of a fixed size, and sums run over the parts in order.

mod adjusted_rand;
mod approximate;
mod cka;
mod eigen;
mod frame;
mod graph;
mod kmeans;
mod knn_accuracy;
mod labels;
mod metric;
mod moments;
mod neighbors;
mod pca;
mod product;
mod quadtree;
mod rows;
mod screen;
mod silhouette;
mod trustworthiness;
mod tsne;
mod umap;

pub use adjusted_rand::adjusted_rand;
pub use approximate::{ApproximateOptions, approximate_nearest, approximate_nearest_others, recall};
pub use cka::{Estimator, linear_cka, linear_hsic};
pub use kmeans::{KMeans, KMeansOptions, kmeans};
pub use knn_accuracy::{ClassAccuracy, KnnAccuracy, knn_accuracy, vote};
pub use metric::Metric;
pub use neighbors::{Neighbors, nearest, nearest_others};
pub use pca::Pca;
pub use rows::Points;
pub use silhouette::{Silhouette, silhouette};
pub use trustworthiness::trustworthiness;
pub use tsne::{Map as TsneMap, TsneOptions, fit as tsne, place as place_in_tsne};
pub use umap::{UmapOptions, fit as umap, place as place_in_umap};
