//! The model itself.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use candle_core::{DType, Tensor};

use super::{
    Classes, Executor, Graph, InputRecipe, Layer, LayerRow, NodeId, Planned, Pullback, ReceptiveField, Reference,
    Rules, Run, Scope,
};
use super::{Step, Weights, zoo};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::lang::Interrupt;
use crate::tensor::check_finite;

/// The weights inside the binary, made lazily.
const EMBEDDED: &[u8] = include_bytes!("../../assets/squeezenet1_1.safetensors");

/// An immutable network with everything needed to run and name it; cheap to clone.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    name: String,
    graph: Arc<Graph>,
    weights: Arc<Weights>,
    classes: Classes,
    recipe: InputRecipe,
    /// Shape of every node for one image of the nominal size.
    shapes: Vec<Vec<usize>>,
    fields: Vec<ReceptiveField>,
    /// For the CPU.
    planned: Planned,
    /// For other devices.
    reference: Reference,
}

impl Model {
    /// The name of the network whose weights are in the program.
    pub const EMBEDDED: &'static str = "squeezenet1_1";

    /// Puts a network together and checks that the parts fit: the weights are the graph's, and the graph can
    /// take an image of the recipe's size.
    pub fn new(name: &str, graph: Graph, weights: Weights, classes: Classes, recipe: InputRecipe) -> Result<Self> {
        weights.check(&graph)?;
        let image = [graph.input_channels(), recipe.size, recipe.size];
        let shapes = graph.shapes(image, graph.output())?;
        let fields = graph.receptive_fields(image)?;
        let (graph, weights) = (Arc::new(graph), Arc::new(weights));
        let planned = Planned::new(graph.clone(), weights.clone());
        let reference = Reference::new(graph.clone(), weights.clone());
        let name = name.to_owned();
        Ok(Self(Arc::new(Inner { name, graph, weights, classes, recipe, shapes, fields, planned, reference })))
    }

    /// The same network with its graph edited, and the parameters that the edited graph reads: these are the network's
    /// own and those of its edits. What is prepared for running it is shared.
    pub(super) fn edited(&self, graph: Graph, weights: Arc<Weights>) -> Result<Self> {
        let Inner { name, classes, recipe, planned, .. } = &*self.0;
        let image = [graph.input_channels(), recipe.size, recipe.size];
        let shapes = graph.shapes(image, graph.output())?;
        let fields = graph.receptive_fields(image)?;
        let graph = Arc::new(graph);
        let planned = planned.edited(graph.clone(), weights.clone());
        let reference = Reference::new(graph.clone(), weights.clone());
        let (name, classes, recipe) = (name.clone(), classes.clone(), recipe.clone());
        Ok(Self(Arc::new(Inner { name, graph, weights, classes, recipe, shapes, fields, planned, reference })))
    }

    /// SqueezeNet 1.1 trained on ImageNet, from the binary itself; decoded at first use, then shared.
    pub fn embedded() -> Result<Self> {
        static MODEL: OnceLock<Result<Model>> = OnceLock::new();
        MODEL
            .get_or_init(|| {
                let weights = Weights::from_safetensors(EMBEDDED)?;
                let (graph, recipe) = (zoo::squeezenet::squeezenet1_1()?, zoo::squeezenet::recipe());
                Self::new(Self::EMBEDDED, graph, weights, Classes::imagenet(), recipe)
            })
            .clone()
    }

    /// A network by its name, with the weights inside the binary.
    ///
    /// # Errors
    /// There is no such network, or its weights are not in the binary.
    pub fn named(name: &str) -> Result<Self> {
        network(name)?;
        if name == Self::EMBEDDED { Self::embedded() } else { Err(not_embedded(name)) }
    }

    /// A network by its name, with the weights in a file: safetensors, or what `torch.save` wrote of a state dict.
    /// The names are torchvision's, and so is the input.
    ///
    /// # Errors
    /// There is no such network, the file cannot be read, or it does not fit: every fault is named.
    pub fn from_file(name: &str, path: &Path) -> Result<Self> {
        let fit = network(name)?.model(Weights::from_file(path)?.with_torchvision_names(name)?);
        fit.map_err(|error| error.context(format!("`{}`", path.display())))
    }

    /// A network by its name that has learned nothing; see [`Weights::random`]. Its input is torchvision's.
    ///
    /// # Errors
    /// There is no such network.
    pub fn untrained(name: &str, seed: u64) -> Result<Self> {
        let network = network(name)?;
        network.model(Weights::random(&network.graph()?, seed)?)
    }

    /// A network by its name, with weights from the hub; see [`Weights::from_hub`].
    ///
    /// # Errors
    /// There is no such network, or its weights cannot be fetched.
    pub fn from_hub(name: &str, step: Step<'_>) -> Result<Self> {
        let network = network(name)?;
        network.model(Weights::from_hub(name, step)?)
    }

    /// Its name, as `model("…")` takes it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// Its parameters.
    pub fn weights(&self) -> &Weights {
        &self.0.weights
    }

    /// Its parameters, for a network that shares them.
    pub(super) fn shared_weights(&self) -> Arc<Weights> {
        self.0.weights.clone()
    }

    /// Bytes of the weights that are prepared for running it, shared with its edited networks.
    pub fn prepared_bytes(&self) -> usize {
        self.0.planned.prepared_bytes()
    }

    /// The names of its answers.
    pub fn classes(&self) -> &Classes {
        &self.0.classes
    }

    /// How images become its input.
    pub fn recipe(&self) -> &InputRecipe {
        &self.0.recipe
    }

    /// A layer by any of its names.
    pub fn layer(&self, name: &str) -> Result<Layer> {
        Ok(Layer::new(self.clone(), self.graph().find(name)?))
    }

    /// The layer whose value is the network's answer.
    pub fn output(&self) -> Layer {
        Layer::new(self.clone(), self.graph().output())
    }

    /// The table of all layers in order of execution.
    pub fn layers(&self) -> Vec<LayerRow> {
        let row = |id: NodeId| {
            let node = self.graph().node(id);
            LayerRow {
                name: node.name.clone(),
                ordinal: node.ordinal.clone(),
                aliases: node.aliases.clone(),
                kind: node.op.to_string(),
                shape: self.nominal_shape(id).to_vec(),
                parameters: node.op.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum(),
                receptive_field: self.receptive_field(id),
            }
        };
        self.graph().ids().map(row).collect()
    }

    /// Shape of a node's value for one image of the nominal size, without the batch.
    pub(super) fn nominal_shape(&self, id: NodeId) -> &[usize] {
        &self.0.shapes[id.index()]
    }

    /// What one unit of a node sees, for an image of the nominal size.
    pub(super) fn receptive_field(&self, id: NodeId) -> ReceptiveField {
        self.0.fields[id.index()]
    }

    /// The smallest height and width for which `taps` can be computed.
    pub fn minimum_size(&self, taps: &[NodeId]) -> Result<(usize, usize)> {
        self.graph().minimum_size(taps, self.recipe().size)
    }

    /// An error that names the smallest possible size if an image of `height` × `width` is too small for `taps`.
    pub fn check_size(&self, taps: &[NodeId], height: usize, width: usize) -> Result<()> {
        self.graph().check_size(taps, height, width, self.recipe().size)
    }

    /// The values of `taps`, in that order, for `x` `[N, 3, H, W]` in the network's input space.
    ///
    /// If `x` or weights are on candle's tape, so are the results, and their gradients follow `rules`. An input that is
    /// too small, of the wrong shape or not finite is refused, and so is a rule that would act on nothing.
    pub fn run(&self, x: &Tensor, taps: &[NodeId], rules: &Rules, interrupt: &Interrupt) -> Result<Vec<Tensor>> {
        self.run_with(std::slice::from_ref(x), &Run::new(taps, rules, interrupt))
    }

    /// The values of `taps`, off the tape, and the backward pass from them to `x`; otherwise as [`run`](Self::run). For
    /// loops that look at an image many times, where candle's tape would take much of the time.
    pub fn pullback(
        &self,
        x: &Tensor,
        taps: &[NodeId],
        rules: &Rules,
        interrupt: &Interrupt,
    ) -> Result<(Vec<Tensor>, Pullback)> {
        self.pullback_with(std::slice::from_ref(x), &Run::new(taps, rules, interrupt))
    }

    /// As [`run`](Self::run), with everything a [`Run`] can ask for: `x` holds the values of the nodes it starts from,
    /// images `[N, 3, H, W]` for the input, activations of any batch and size for others.
    ///
    /// # Errors
    /// A value has other channels than its layer, and all that [`Executor::run`] refuses.
    pub fn run_with(&self, x: &[Tensor], run: &Run<'_>) -> Result<Vec<Tensor>> {
        self.executor(x, run)?.run(&floats(x)?, run)
    }

    /// As [`pullback`](Self::pullback), with everything a [`Run`] can ask for: gradients at other layers than the input,
    /// and runs that start elsewhere.
    ///
    /// # Errors
    /// Those of [`run_with`](Self::run_with), and all that [`Executor::pullback`] refuses.
    pub fn pullback_with(&self, x: &[Tensor], run: &Run<'_>) -> Result<(Vec<Tensor>, Pullback)> {
        self.executor(x, run)?.pullback(&floats(x)?, run)
    }

    /// What computes a run, if that is possible.
    fn executor(&self, x: &[Tensor], run: &Run<'_>) -> Result<&dyn Executor> {
        Scope::new(self.graph(), run)?;
        for (id, x) in run.from.iter().zip(x) {
            if *id == NodeId::INPUT { self.check_input(x, run.taps)? } else { self.check_start(*id, x)? }
        }
        run.rules.check(self.graph(), run)?;
        let on_cpu = x.iter().all(|x| x.device().is_cpu());
        Ok(if on_cpu { &self.0.planned } else { &self.0.reference })
    }

    /// The network's answers before softmax, `[N, classes]`, for `x` `[N, 3, H, W]` in its input space.
    pub fn forward(&self, x: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        self.output().activations(x, interrupt)
    }

    fn check_input(&self, x: &Tensor, taps: &[NodeId]) -> Result<()> {
        let channels = self.graph().input_channels();
        match x.dims() {
            [n, c, height, width] if *n > 0 && *c == channels => self.check_size(taps, *height, *width)?,
            shape => {
                let message = format!("the network takes [N, {channels}, height, width], not {shape:?}");
                return Err(Error::new(Kind::Tensor, message));
            }
        }
        check_finite(x, "the network's input")
    }

    /// Refuses a value that a layer of this network cannot have for any image.
    fn check_start(&self, id: NodeId, x: &Tensor) -> Result<()> {
        let (name, nominal) = (&self.graph().node(id).name, self.nominal_shape(id));
        let fits = match (nominal, x.dims()) {
            ([features], [n, found]) => *n > 0 && found == features,
            ([channels, ..], [n, found, height, width]) => *n > 0 && found == channels && height * width > 0,
            _ => false,
        };
        if !fits {
            let shape = match nominal {
                [features] => format!("[N, {features}]"),
                [channels, ..] => format!("[N, {channels}, height, width]"),
                [] => "nothing".to_owned(),
            };
            let message = format!("the value of layer `{name}` is {shape}, not {:?}", x.dims());
            return Err(Error::new(Kind::Tensor, message));
        }
        check_finite(x, &format!("the value of layer `{name}`"))
    }
}

/// The values as the executors take them.
fn floats(x: &[Tensor]) -> Result<Vec<Tensor>> {
    Ok(x.iter().map(|x| x.to_dtype(DType::F32)).collect::<candle_core::Result<_>>()?)
}

fn network(name: &str) -> Result<&'static zoo::Entry> {
    zoo::find(name).ok_or_else(|| {
        let hint = did_you_mean(name, zoo::NAMES);
        let hint = hint.unwrap_or_else(|| format!("the models are {}", zoo::NAMES.join(", ")));
        Error::new(Kind::Name, format!("no model is called `{name}`")).with_hint(hint).at_argument("name")
    })
}

fn not_embedded(name: &str) -> Error {
    let hint = format!(
        "give weights=\"{name}.safetensors\" (a file, or a .pth), weights=\"hub\" (fetches them) or weights=\"random\""
    );
    Error::new(Kind::Argument, format!("the weights of {name} are not in the program"))
        .with_hint(hint)
        .at_argument("weights")
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use candle_core::{Device, Var};

    use super::*;
    use crate::model::Rule;
    use crate::tensor::testing::{assert_close, random, rng, values};

    fn model() -> Model {
        Model::embedded().unwrap()
    }

    fn image(seed: u64, batch: usize, side: usize) -> Tensor {
        (random(&mut rng(seed), (batch, 3, side, side)) * 100.0).unwrap()
    }

    fn gradient(x: &Tensor, layer: &Layer, rules: Rules) -> Tensor {
        let x = Var::from_tensor(x).unwrap();
        let y = model().run(&x, &[layer.id()], &rules, &Interrupt::never()).unwrap();
        y[0].sum_all().unwrap().backward().unwrap().remove(&x).unwrap()
    }

    #[test]
    fn every_layer_has_three_kinds_of_names() {
        let name = |name: &str| model().layer(name).unwrap().name().to_owned();
        for alias in ["features.3.squeeze", "fire2/squeeze1x1", "conv2"] {
            assert_eq!(name(alias), "features.3.squeeze");
        }
        assert_eq!(name("fire2"), "features.3");
        assert_eq!(name("fire2/concat"), "features.3");
        assert_eq!(name("concat1"), "features.3");
        assert_eq!(name("fire2/relu_expand3x3"), "features.3.expand3x3_activation");
        assert_eq!(name("relu_conv1"), "features.1");
        assert_eq!(name("conv26"), "classifier.1");
        // the tenth convolution and the third pooling, though Caffe's names say otherwise
        assert_eq!(name("conv10"), "features.6.expand3x3");
        assert_eq!(name("pool3"), "features.8");
        assert_eq!(name("pool5"), "features.8");
        assert_eq!(name("pool10"), "classifier.3");
        assert_eq!(model().output().name(), "flatten");

        let error = model().layer("fire2/squeze1x1").unwrap_err();
        assert_eq!(error.kind(), Kind::Name);
        assert!(error.hint().unwrap().contains("`fire2/squeeze1x1`"), "{error}");
        assert!(Model::named("squeezenet").unwrap_err().hint().unwrap().contains("squeezenet1_1"));
    }

    #[test]
    fn the_table_knows_shapes_parameters_and_fields() {
        let rows = model().layers();
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(rows.iter().map(|row| row.parameters).sum::<usize>(), 1_235_496);
        assert_eq!(row("features.0").parameters, 64 * 27 + 64);
        assert_eq!(row("features.0").kind, "conv 3×3, 3 → 64, stride 2");
        assert_eq!(row("features.0").shape, [64, 113, 113]);
        assert_eq!(row("features.0").receptive_field.size, 3);
        assert_eq!(row("features.2").receptive_field, ReceptiveField { size: 7, jump: 4, start: 0 });
        assert_eq!(row("features.3").receptive_field, ReceptiveField { size: 15, jump: 4, start: -4 });
        assert_eq!(row("features.12").shape, [512, 14, 14]);
        assert_eq!(row("flatten").shape, [1000]);
        let conv1 = model().layer("conv1").unwrap();
        assert_eq!(conv1.weight().unwrap().dims(), [64, 3, 3, 3]);
        assert_eq!(conv1.bias().unwrap().dims(), [64]);
        assert_eq!(conv1.units(), 64);
        assert!(model().layer("relu1").unwrap().weight().is_none());
    }

    #[test]
    fn a_unit_sees_its_receptive_field_and_no_more() {
        let layer = model().layer("fire3").unwrap();
        let field = layer.receptive_field();
        let x = Var::from_tensor(&image(1, 1, 127)).unwrap();
        let y = layer.activations(&x, &Interrupt::never()).unwrap();
        let (row, column) = (12, 14);
        let unit = y.narrow(2, row, 1).unwrap().narrow(3, column, 1).unwrap();
        let seen = unit.sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
        let seen = values(&seen.abs().unwrap().sum((0, 1)).unwrap());
        let range =
            |i: usize| field.start + (i * field.jump) as i64..field.start + (i * field.jump + field.size) as i64;
        // Winograd's tiles leave rounding errors beside it
        let least = 1e-5 * seen.iter().copied().fold(0.0, f32::max);
        let touched = |i: &usize| seen[*i] > least;
        let rows: Vec<i64> = (0..127 * 127).filter(touched).map(|i| (i / 127) as i64).collect();
        let columns: Vec<i64> = (0..127 * 127).filter(touched).map(|i| (i % 127) as i64).collect();
        assert_eq!((rows.iter().min(), rows.iter().max()), (Some(&range(row).start), Some(&(range(row).end - 1))));
        assert_eq!(columns.iter().min(), Some(&range(column).start));
        assert_eq!(columns.iter().max(), Some(&(range(column).end - 1)));
    }

    #[test]
    fn taps_come_in_the_order_asked_and_repeat() {
        let (model, x) = (model(), image(2, 1, 64));
        let id = |name: &str| model.layer(name).unwrap().id();
        let taps = [id("pool1"), id("conv1"), id("pool1"), id("input")];
        let values = model.run(&x, &taps, &Rules::default(), &Interrupt::never()).unwrap();
        let shapes: Vec<_> = values.iter().map(|v| v.dims().to_vec()).collect();
        assert_eq!(
            shapes,
            [[1, 64, 15, 15].to_vec(), [1, 64, 31, 31].to_vec(), [1, 64, 15, 15].to_vec(), [1, 3, 64, 64].to_vec()]
        );
        assert!(model.run(&x, &[], &Rules::default(), &Interrupt::never()).unwrap().is_empty());
    }

    #[test]
    fn a_run_stops_after_the_last_tap() {
        // 4×4 pixels are too few for the whole network but not for its first layer
        let conv1 = model().layer("conv1").unwrap();
        assert_eq!(conv1.activations(&image(3, 1, 4), &Interrupt::never()).unwrap().dims(), [1, 64, 1, 1]);
        let error = model().forward(&image(3, 1, 4), &Interrupt::never()).unwrap_err();
        assert!(error.to_string().contains("at least 17×17"), "{error}");
    }

    #[test]
    fn many_images_are_the_same_as_one_by_one() {
        // more than one group of the reference executor
        let x = image(4, 80, 72);
        let output = model().output();
        let (together, slope) =
            (model().forward(&x, &Interrupt::never()).unwrap(), gradient(&x, &output, Rules::default()));
        for i in [0, 1, 78, 79] {
            let alone = x.narrow(0, i, 1).unwrap();
            let truth = model().forward(&alone, &Interrupt::never()).unwrap();
            assert_close(&values(&together.get(i).unwrap()), &values(&truth), 1e-6, "logits");
            let truth = gradient(&alone, &output, Rules::default());
            assert_close(&values(&slope.get(i).unwrap()), &values(&truth), 1e-5, "gradient");
        }
    }

    #[test]
    fn changed_weights_change_the_gradient() {
        let trained = model();
        let weights = trained.weights().iter().map(|(name, tensor)| {
            let random = random(&mut rng(tensor.elem_count() as u64), tensor.shape());
            (name.to_owned(), (random * 0.05).unwrap())
        });
        let inner = &trained.0;
        let parts = (zoo::squeezenet::squeezenet1_1().unwrap(), Weights::new(weights).unwrap());
        let random = Model::new("random", parts.0, parts.1, inner.classes.clone(), inner.recipe.clone()).unwrap();
        let x = image(5, 1, 64);
        let run = |layer: Layer| values(&layer.activations(&x, &Interrupt::never()).unwrap());
        assert_ne!(run(random.layer("conv1").unwrap()), run(model().layer("conv1").unwrap()));
        assert_ne!(random.weights().hash(), model().weights().hash());
    }

    #[test]
    fn weights_come_from_files_and_seeds() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let from_file = Model::from_file("squeezenet1_1", &assets.join("squeezenet1_1.safetensors")).unwrap();
        assert_eq!(from_file.weights().hash(), model().weights().hash());
        assert_eq!((from_file.recipe(), model().recipe().size), (&zoo::TORCHVISION, 227));
        let error = Model::from_file("squeezenet1_1", &assets.join("imagenet_classes.txt")).unwrap_err();
        assert!(error.message().contains("imagenet_classes.txt`: the file holds neither"), "{error}");

        let untrained = |seed| Model::untrained("squeezenet1_1", seed).unwrap();
        assert_eq!(untrained(1).fingerprint(), untrained(1).fingerprint());
        assert_ne!(untrained(1).fingerprint(), untrained(2).fingerprint());
        let logits = untrained(1).forward(&image(8, 1, 64), &Interrupt::never()).unwrap();
        assert_eq!(logits.dims(), [1, 1000]);

        for error in [
            Model::untrained("squeezenet", 1).unwrap_err(),
            Model::from_file("squeezenet", Path::new("x.pth")).unwrap_err(),
            Model::from_hub("squeezenet", &mut |_, _| Ok(())).unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.argument()), (Kind::Name, Some("name")));
        }
        let hint = not_embedded("vgg16").hint().unwrap().to_owned();
        assert!(["vgg16.safetensors", "hub", "random"].iter().all(|choice| hint.contains(choice)), "{hint}");
    }

    #[test]
    fn a_rule_without_an_operation_is_refused() {
        let rules = Rule::Guided.into();
        let conv1 = model().layer("conv1").unwrap().id();
        let error = model().run(&image(6, 1, 32), &[conv1], &rules, &Interrupt::never()).unwrap_err();
        assert_eq!(error.kind(), Kind::Argument);
        assert!(error.to_string().contains("guided rule"), "{error}");
    }

    #[test]
    fn what_is_not_an_image_is_refused() {
        let run = |x: &Tensor| model().forward(x, &Interrupt::never()).unwrap_err().to_string();
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(run(&zeros(&[3, 64, 64])), "the network takes [N, 3, height, width], not [3, 64, 64]");
        assert!(run(&zeros(&[1, 1, 64, 64])).contains("not [1, 1, 64, 64]"));
        assert!(run(&zeros(&[0, 3, 64, 64])).contains("not [0, 3, 64, 64]"));
        assert!(run(&zeros(&[1, 3, 0, 64])).contains("64×0"));
        let mut pixels = vec![0f32; 3 * 64 * 64];
        pixels[5] = f32::NAN;
        let nan = Tensor::from_vec(pixels, (1, 3, 64, 64), &Device::Cpu).unwrap();
        assert_eq!(run(&nan), "1 of the 12288 values of the network's input are NaN");
        let double = zeros(&[1, 3, 64, 64]).to_dtype(DType::F64).unwrap();
        assert_eq!(model().forward(&double, &Interrupt::never()).unwrap().dtype(), DType::F32);
    }

    #[test]
    fn an_interrupt_stops_a_run_and_a_gradient() {
        let interrupt = Interrupt::default();
        let (x, flag) = (Var::from_tensor(&image(7, 64, 227)).unwrap(), interrupt.clone());
        let raiser = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            flag.raise();
        });
        let error = model().forward(&x, &interrupt).unwrap_err();
        raiser.join().unwrap();
        assert_eq!(error.kind(), Kind::Interrupted);

        interrupt.clear();
        let y = model().forward(&x.narrow(0, 0, 16).unwrap(), &interrupt).unwrap().sum_all().unwrap();
        interrupt.raise();
        assert_eq!(Error::from(y.backward().unwrap_err()).kind(), Kind::Interrupted);
    }
}
