//! Inception v3 (Szegedy et al., 2016, arXiv:1512.00567).
//!
//! Canonical names are those of torchvision's `inception_v3`; a whole block is also found by its module's name
//! (`Mixed_5b`) and by Keras's (`mixed0` … `mixed10`). The auxiliary classifier only serves training and is not built.

use super::CLASSES;
use super::layers::{Conv, conv};
use crate::error::Result;
use crate::model::{Builder, Graph, NodeId, Op};
use crate::tensor::Pool2dParams;

const POOL: Pool2dParams = Pool2dParams::new(3, 2, 0);

/// `[N, 3, H, W]` to `[N, 1000]`.
pub(super) fn inception_v3() -> Result<Graph> {
    let (mut graph, x) = Builder::new(3);
    let x = graph.basic_conv("Conv2d_1a_3x3", &[], &[], conv([3, 32], 3).stride(2), x);
    let x = graph.basic_conv("Conv2d_2a_3x3", &[], &[], conv([32, 32], 3), x);
    let x = graph.basic_conv("Conv2d_2b_3x3", &[], &[], conv([32, 64], 3).same(), x);
    let x = graph.max_pool("maxpool1", &[], POOL, x);
    let x = graph.basic_conv("Conv2d_3b_1x1", &[], &[], conv([64, 80], 1), x);
    let x = graph.basic_conv("Conv2d_4a_3x3", &[], &[], conv([80, 192], 3), x);
    let x = graph.max_pool("maxpool2", &[], POOL, x);
    let x = block(&mut graph, ["Mixed_5b", "mixed0"], x).a(192, 32);
    let x = block(&mut graph, ["Mixed_5c", "mixed1"], x).a(256, 64);
    let x = block(&mut graph, ["Mixed_5d", "mixed2"], x).a(288, 64);
    let x = block(&mut graph, ["Mixed_6a", "mixed3"], x).b(288);
    let x = block(&mut graph, ["Mixed_6b", "mixed4"], x).c(768, 128);
    let x = block(&mut graph, ["Mixed_6c", "mixed5"], x).c(768, 160);
    let x = block(&mut graph, ["Mixed_6d", "mixed6"], x).c(768, 160);
    let x = block(&mut graph, ["Mixed_6e", "mixed7"], x).c(768, 192);
    let x = block(&mut graph, ["Mixed_7a", "mixed8"], x).d(768);
    let x = block(&mut graph, ["Mixed_7b", "mixed9"], x).e(1280);
    let x = block(&mut graph, ["Mixed_7c", "mixed10"], x).e(2048);
    let x = graph.global_pool("avgpool", &[], x);
    let x = graph.dropout("dropout", &[], x);
    let x = graph.flatten(&[], x);
    graph.linear("fc", &["logits"], [2048, CLASSES], x);
    graph.finish()
}

/// Begins a block with the names that torchvision and Keras give it.
fn block<'a>(graph: &'a mut Builder, names: [&'a str; 2], input: NodeId) -> Block<'a> {
    Block { graph, names, input }
}

/// A block in the making: branches from one input, joined. Its methods are the paper's figures, by torchvision's letters.
struct Block<'a> {
    graph: &'a mut Builder,
    names: [&'a str; 2],
    input: NodeId,
}

impl Block<'_> {
    /// Figure 5: 1×1, 5×5, two 3×3, and a pooling.
    fn a(&mut self, channels: usize, pooled: usize) -> NodeId {
        let one = self.branch(&[("1x1", conv([channels, 64], 1))]);
        let five = self.branch(&[("5x5_1", conv([channels, 48], 1)), ("5x5_2", conv([48, 64], 5).same())]);
        let double = self.branch(&[
            ("3x3dbl_1", conv([channels, 64], 1)),
            ("3x3dbl_2", conv([64, 96], 3).same()),
            ("3x3dbl_3", conv([96, 96], 3).same()),
        ]);
        let pool = self.pooled(conv([channels, pooled], 1));
        self.join("cat", &[one, five, double, pool])
    }

    /// Figure 10: half the size.
    fn b(&mut self, channels: usize) -> NodeId {
        let three = self.branch(&[("3x3", conv([channels, 384], 3).stride(2))]);
        let double = self.branch(&[
            ("3x3dbl_1", conv([channels, 64], 1)),
            ("3x3dbl_2", conv([64, 96], 3).same()),
            ("3x3dbl_3", conv([96, 96], 3).stride(2)),
        ]);
        let pool = self.max_pooled();
        self.join("cat", &[three, double, pool])
    }

    /// Figure 6: 7×7 as rows and columns, once and twice.
    fn c(&mut self, channels: usize, inner: usize) -> NodeId {
        let one = self.branch(&[("1x1", conv([channels, 192], 1))]);
        let seven = self.branch(&[
            ("7x7_1", conv([channels, inner], 1)),
            ("7x7_2", row([inner, inner], 7)),
            ("7x7_3", column([inner, 192], 7)),
        ]);
        let double = self.branch(&[
            ("7x7dbl_1", conv([channels, inner], 1)),
            ("7x7dbl_2", column([inner, inner], 7)),
            ("7x7dbl_3", row([inner, inner], 7)),
            ("7x7dbl_4", column([inner, inner], 7)),
            ("7x7dbl_5", row([inner, 192], 7)),
        ]);
        let pool = self.pooled(conv([channels, 192], 1));
        self.join("cat", &[one, seven, double, pool])
    }

    /// Half the size again.
    fn d(&mut self, channels: usize) -> NodeId {
        let three = self.branch(&[("3x3_1", conv([channels, 192], 1)), ("3x3_2", conv([192, 320], 3).stride(2))]);
        let seven = self.branch(&[
            ("7x7x3_1", conv([channels, 192], 1)),
            ("7x7x3_2", row([192, 192], 7)),
            ("7x7x3_3", column([192, 192], 7)),
            ("7x7x3_4", conv([192, 192], 3).stride(2)),
        ]);
        let pool = self.max_pooled();
        self.join("cat", &[three, seven, pool])
    }

    /// Figure 7: branches that end in a row and a column beside each other.
    fn e(&mut self, channels: usize) -> NodeId {
        let one = self.branch(&[("1x1", conv([channels, 320], 1))]);
        let three = self.branch(&[("3x3_1", conv([channels, 384], 1))]);
        let three = self.spread("cat", ["3x3_2a", "3x3_2b"], three);
        let double = self.branch(&[("3x3dbl_1", conv([channels, 448], 1)), ("3x3dbl_2", conv([448, 384], 3).same())]);
        let double = self.spread("cat_1", ["3x3dbl_3a", "3x3dbl_3b"], double);
        let pool = self.pooled(conv([channels, 192], 1));
        self.join("cat_2", &[one, three, double, pool])
    }

    /// Layers one after the other.
    fn branch(&mut self, layers: &[(&str, Conv)]) -> NodeId {
        layers.iter().fold(self.input, |x, (name, conv)| self.layer(name, *conv, x))
    }

    fn layer(&mut self, name: &str, conv: Conv, input: NodeId) -> NodeId {
        self.graph.basic_conv(&self.named(&format!("branch{name}")), &[], &[], conv, input)
    }

    /// A row and a column beside each other, joined.
    fn spread(&mut self, join: &str, [first, second]: [&str; 2], input: NodeId) -> NodeId {
        let row = self.layer(first, row([384, 384], 3), input);
        let column = self.layer(second, column([384, 384], 3), input);
        self.graph.add(&self.named(join), &[], Op::Concat, &[row, column])
    }

    fn pooled(&mut self, conv: Conv) -> NodeId {
        let op = Op::AvgPool2d { params: Pool2dParams::new(3, 1, 1), count_include_pad: true };
        let x = self.graph.add(&self.named("avg_pool2d"), &[], op, &[self.input]);
        self.layer("_pool", conv, x)
    }

    fn max_pooled(&mut self) -> NodeId {
        self.graph.max_pool(&self.named("max_pool2d"), &[], POOL, self.input)
    }

    fn join(&mut self, name: &str, branches: &[NodeId]) -> NodeId {
        self.graph.add(&self.named(name), &self.names, Op::Concat, branches)
    }

    /// The canonical name of a part.
    fn named(&self, part: &str) -> String {
        format!("{}.{part}", self.names[0])
    }
}

const fn row(channels: [usize; 2], length: usize) -> Conv {
    conv(channels, 1).kernel([1, length]).same()
}

const fn column(channels: [usize; 2], length: usize) -> Conv {
    conv(channels, 1).kernel([length, 1]).same()
}
