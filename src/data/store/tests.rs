//! Stores against their definition, and what becomes of them when runs end early or files are damaged.

use std::path::Path;

use super::*;
use crate::image::{Image, noise};
use crate::job::Interrupt;
use crate::model::Rules;

const LAYERS: [&str; 2] = ["relu_conv1", "fire2"];

fn model() -> Model {
    Model::embedded().unwrap()
}

fn layers(model: &Model) -> Vec<Layer> {
    LAYERS.iter().map(|name| model.layer(name).unwrap()).collect()
}

/// Small pictures that differ.
fn pictures(folder: &Path, count: usize) -> ImageSet {
    for index in 0..count {
        noise(12, 9, index as u64).unwrap().save(folder.join(format!("{index:03}.png"))).unwrap();
    }
    images(folder)
}

fn images(folder: &Path) -> ImageSet {
    let place = crate::data::Place::Path(folder.display().to_string());
    crate::data::images(&Job::detached(), place, crate::data::Labels::Folder).unwrap()
}

fn fill(job: &Job, set: &ImageSet, maps: bool, folder: Option<&Path>) -> Result<Store> {
    let model = model();
    Store::fill(job, &model, set, &layers(&model), maps, folder.map(Path::to_owned))
}

/// All that two stores hold is the same.
fn assert_same(a: &Store, b: &Store) {
    assert_eq!(a.rows(), b.rows());
    for column in &a.inner.columns {
        assert_eq!(
            a.numbers(&column.layer, column.kept).unwrap(),
            b.numbers(&column.layer, column.kept).unwrap(),
            "{}",
            column.name()
        );
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn its_numbers_are_those_of_their_definition() {
    let (job, folder, to) = (Job::detached(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let set = pictures(folder.path(), 5);
    let in_memory = fill(&job, &set, true, None).unwrap();
    let in_files = fill(&job, &set, true, Some(to.path())).unwrap();
    assert_same(&in_memory, &in_files);
    assert_same(&in_files, &Store::open(&[to.path().to_owned()]).unwrap());
    let model = model();
    for (layer, name) in layers(&model).iter().zip(LAYERS) {
        let (channels, places) = (layer.units(), layer.shape()[1] * layer.shape()[2]);
        let kept = |kept| in_files.numbers(layer.known_as(), kept).unwrap();
        let (max, at, mean, maps) = (kept(Kept::Max), kept(Kept::At), kept(Kept::Mean), kept(Kept::Map));
        for index in 0..5 {
            let image = set.read(&job, index).unwrap();
            let input = model.input(&model.view(&image).unwrap()).unwrap();
            let run = model.run(&input, &[layer.id()], &Rules::default(), &Interrupt::never()).unwrap();
            let values: Vec<f32> = run[0].flatten_all().unwrap().to_vec1().unwrap();
            for (channel, map) in values.chunks(places).enumerate() {
                let place = index * channels + channel;
                let largest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(max[place], largest, "{name}");
                assert_eq!(at[place] as usize, map.iter().position(|value| *value == largest).unwrap());
                let sum: f64 = map.iter().map(|value| f64::from(*value)).sum();
                assert_eq!(mean[place], (sum / places as f64) as f32);
                assert_eq!(&maps[place * places..][..places], map);
            }
        }
    }
}

#[test]
fn what_is_missing_alone_is_computed_and_the_result_is_the_same() {
    let (job, folder) = (Job::detached(), tempfile::tempdir().unwrap());
    let set = pictures(folder.path(), 9);
    let [whole, other] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    // rows of 5 MB each make parts of some rows
    let truth = fill(&job, &set, true, Some(whole.path())).unwrap();
    let all = files(whole.path());
    assert!(all.len() >= 2, "{} parts", all.len());
    for lost in 0..all.len() {
        for (at, (name, bytes)) in all.iter().enumerate() {
            let path = other.path().join(name);
            if at == lost {
                let _ = std::fs::remove_file(path);
            } else {
                std::fs::write(path, bytes).unwrap();
            }
        }
        // a run that was killed while it wrote leaves a file of another name
        std::fs::write(other.path().join(".percept-left"), "half a part").unwrap();
        assert_same(&truth, &fill(&job, &set, true, Some(other.path())).unwrap());
        std::fs::remove_file(other.path().join(".percept-left")).unwrap();
        assert_eq!(files(other.path()), all);
    }
    // nothing is left to do: nothing is read either
    std::fs::rename(folder.path().join("003.png"), folder.path().join("003.jpg")).unwrap();
    let before = files(whole.path());
    let reordered = set.with_entries(set.entries().iter().rev().cloned().collect()).unwrap();
    let again = fill(&job, &reordered, true, Some(whole.path()));
    // the picture that was renamed has another size now: none
    assert!(again.unwrap().skipped().len() == 1);
    assert_eq!(files(whole.path()), before);
}

#[test]
fn shards_make_what_one_run_makes_and_one_can_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let set = pictures(folder.path(), 9);
    let [whole, parts] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let truth = fill(&Job::detached(), &set, true, Some(whole.path())).unwrap();
    for shard in ["3/4", "1/4", "4/4", "1/4", "2/4"] {
        let job = Job::detached().with_shard(Some(shard.parse().unwrap()));
        let own = fill(&job, &set, true, Some(parts.path())).unwrap();
        assert!(own.to_string().contains(&format!("shard {shard}")), "{own}");
    }
    assert_eq!(files(whole.path()), files(parts.path()));
    assert_same(&truth, &Store::open(&[parts.path().to_owned()]).unwrap());
    // in folders of their own, one of them twice
    let folders: Vec<tempfile::TempDir> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    for (to, shard) in folders.iter().zip(["1/4", "2/4", "3/4", "4/4", "2/4"]) {
        let job = Job::detached().with_shard(Some(shard.parse().unwrap()));
        fill(&job, &set, true, Some(to.path())).unwrap();
    }
    let full: Vec<PathBuf> = folders
        .iter()
        .map(|folder| folder.path().to_owned())
        .filter(|folder| std::fs::read_dir(folder).unwrap().next().is_some())
        .collect();
    assert_same(&truth, &Store::open(&full).unwrap());
    for wrong in ["0/4", "5/4", "1", "a/b", "1/0", ""] {
        assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
    }
}

#[test]
fn more_images_are_added_and_others_of_the_same_name_are_not_taken_for_them() {
    let (job, folder, to) = (Job::detached(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let few = pictures(folder.path(), 3);
    fill(&job, &few, false, Some(to.path())).unwrap();
    let more = pictures(folder.path(), 5);
    let all = fill(&job, &more, false, Some(to.path())).unwrap();
    assert_eq!(all.rows().len(), 5);
    assert_same(&all, &fill(&job, &more, false, None).unwrap());
    assert_eq!(files(to.path()).len(), 2);
    // the same name with another content
    noise(40, 40, 9).unwrap().save(folder.path().join("001.png")).unwrap();
    let changed = images(folder.path());
    assert_same(&fill(&job, &changed, false, Some(to.path())).unwrap(), &fill(&job, &changed, false, None).unwrap());
}

#[test]
fn broken_images_are_named_and_skipped() {
    let (job, folder) = (Job::detached(), tempfile::tempdir().unwrap());
    pictures(folder.path(), 3);
    std::fs::write(folder.path().join("001.png"), "no picture").unwrap();
    let store = fill(&job, &images(folder.path()), false, None).unwrap();
    assert_eq!(store.rows().iter().map(|row| row.index).collect::<Vec<_>>(), [0, 2]);
    assert!(store.skipped()[0].name.ends_with("001.png"), "{store}");
    assert!(store.to_string().contains("skipped"), "{store}");
    assert_eq!(store.made_of().unwrap().1.entries().len(), 2);
    for name in ["000.png", "002.png"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let error = fill(&job, &images(folder.path()), false, None).unwrap_err();
    assert!(error.message().contains("none of 3 images"), "{error}");
}

#[test]
fn what_does_not_belong_there_is_refused_and_left_alone() {
    let (job, folder, to) = (Job::detached(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let set = pictures(folder.path(), 2);
    fill(&job, &set, false, Some(to.path())).unwrap();
    let before = files(to.path());
    let refused = |result: Result<Store>, wanted: &str| {
        let error = result.unwrap_err();
        assert!(error.message().contains(wanted), "{error}");
        assert_eq!(files(to.path()), before);
    };
    let other = Model::untrained("squeezenet1_1", 1, &crate::model::ModelOptions::default()).unwrap();
    let into = || Some(to.path().to_owned());
    refused(Store::fill(&job, &other, &set, &layers(&other), false, into()), "another network");
    let own = model();
    refused(
        Store::fill(&job, &own, &set, &layers(&own)[..1], false, into()),
        "other layers: relu_conv1, fire2, not relu_conv1",
    );
    refused(fill(&job, &set, true, Some(to.path())), "another form: without maps, not with maps");
    refused(Store::fill(&job, &own, &set, &[], false, into()), "no layer");
    refused(Store::fill(&job, &own, &set, &layers(&other), false, into()), "another network's");
    let file = folder.path().join("000.png");
    refused(fill(&job, &set, false, Some(&file)), "cannot be read as a folder");
    refused(Store::open(&[folder.path().to_owned()]), "no store in");
    // a damaged part is named, and nothing is lost
    let part = to.path().join(&before[0].0);
    let mut bytes = before[0].1.clone();
    for cut in [0, 3, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&part, &bytes[..cut]).unwrap();
        let error = fill(&job, &set, false, Some(to.path())).unwrap_err();
        assert!(error.message().contains(&before[0].0), "{error}");
    }
    // bytes that are not what they were: an error or other numbers, no panic
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        bytes[at] ^= 0x55;
        std::fs::write(&part, &bytes).unwrap();
        if let Ok(store) = Store::open(&[to.path().to_owned()]) {
            let _ = store.numbers(LAYERS[1], Kept::Mean);
            let _ = store.numbers(LAYERS[1], Kept::At);
        }
        bytes[at] ^= 0x55;
    }
}

#[test]
fn an_interrupted_run_keeps_whole_parts() {
    let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let set = pictures(folder.path(), 9);
    let interrupt = Interrupt::default();
    struct Stop(Interrupt);
    impl crate::job::Reporter for Stop {
        fn progress(&self, report: &crate::job::Report, _: Option<crate::job::Preview<'_>>) {
            if report.done >= 6 {
                self.0.raise();
            }
        }
    }
    let job = Job::detached().with_interrupt(interrupt.clone()).with_reporter(Rc::new(Stop(interrupt.clone())));
    let error = fill(&job, &set, true, Some(to.path())).unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    let kept = files(to.path());
    assert!(!kept.is_empty() && kept.iter().all(|(name, _)| name.starts_with("part-")), "{}", kept.len());
    let resumed = fill(&Job::detached(), &set, true, Some(to.path())).unwrap();
    assert_same(&resumed, &fill(&Job::detached(), &set, true, None).unwrap());
}

/// Images in memory are told apart by their pixels.
#[test]
fn content_tells_images_apart() {
    let set = |seeds: &[u64]| {
        let images: Vec<Image> = seeds.iter().map(|seed| noise(6, 5, *seed).unwrap()).collect();
        ImageSet::of_images(&images).unwrap()
    };
    let content = |set: &ImageSet| set.entries().iter().map(Entry::content).collect::<Vec<_>>();
    assert_eq!(content(&set(&[1, 2])), content(&set(&[1, 2])));
    assert_ne!(content(&set(&[1, 2]))[1], content(&set(&[1, 3]))[1]);
}
