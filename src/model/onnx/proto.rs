//! The protocol buffers of an `.onnx` file as plain structs that borrow from its bytes.
//!
//! Only the messages and fields that a network needs are read (onnx.proto3 of ONNX 1.17); everything else is
//! skipped. The depth is fixed, so nothing recurses, and what is allocated beside the file's own bytes is paid
//! from a [`Budget`], so a small file cannot become large structs.

use crate::error::{Error, Kind, Result};

/// Bytes that the structs of one file may take.
const BUDGET: usize = 24 << 20;

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct ModelProto<'a> {
    /// Version of the standard operators.
    pub opset: i64,
    /// The graph, if the file has one.
    pub graph: Option<GraphProto<'a>>,
}

/// Nodes with their constants, inputs and outputs.
#[derive(Debug, Default)]
pub(super) struct GraphProto<'a> {
    pub nodes: Vec<NodeProto<'a>>,
    pub initializers: Vec<TensorProto<'a>>,
    pub inputs: Vec<ValueProto<'a>>,
    pub outputs: Vec<ValueProto<'a>>,
}

/// One operation.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeProto<'a> {
    pub name: &'a str,
    pub op: &'a str,
    pub domain: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<AttributeProto<'a>>,
}

/// A named constant of an operation; of the values the one that it has is set.
#[derive(Clone, Debug, Default)]
pub(super) struct AttributeProto<'a> {
    pub name: &'a str,
    pub float: Option<f32>,
    pub int: Option<i64>,
    pub text: Option<&'a str>,
    pub tensor: Option<Box<TensorProto<'a>>>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
}

/// An input or an output of the graph.
#[derive(Debug, Default)]
pub(super) struct ValueProto<'a> {
    pub name: &'a str,
    /// Sizes, the ones that are not fixed as none; none at all if the file doesn't say.
    pub dims: Option<Vec<Option<i64>>>,
    /// The number of the elements' type in ONNX's list; 0 if the file doesn't say.
    pub element_type: i64,
}

/// Numbers, in whichever field the writer put them.
#[derive(Clone, Debug, Default)]
pub(super) struct TensorProto<'a> {
    pub name: &'a str,
    pub dims: Vec<i64>,
    pub data_type: i64,
    pub raw: Option<&'a [u8]>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
    pub doubles: Vec<f64>,
    /// Where its values are, if they are in another file.
    pub external: Option<External<'a>>,
}

/// A part of another file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct External<'a> {
    /// The file, relative to the folder of the network.
    pub location: &'a str,
    /// Where the values begin, in bytes.
    pub offset: u64,
    /// How many bytes they take; up to the file's end if it is not said.
    pub length: Option<u64>,
}

/// Reads the bytes of an `.onnx` file.
pub(super) fn parse(bytes: &[u8]) -> Result<ModelProto<'_>> {
    let mut budget = Budget(BUDGET);
    let mut model = ModelProto { opset: 1, graph: None };
    for field in Fields(bytes) {
        match field? {
            (7, value) => model.graph = Some(graph(value.bytes()?, &mut budget)?),
            (8, value) => {
                let (mut domain, mut version) = ("", 0);
                for field in Fields(value.bytes()?) {
                    match field? {
                        (1, value) => domain = value.text()?,
                        (2, value) => version = value.int()?,
                        _ => {}
                    }
                }
                if is_standard(domain) {
                    model.opset = version;
                }
            }
            _ => {}
        }
    }
    Ok(model)
}

/// Whether a domain is that of ONNX's own operators.
pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn graph<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<GraphProto<'a>> {
    let mut graph = GraphProto::default();
    for field in Fields(bytes) {
        match field? {
            (1, value) => budget.push(&mut graph.nodes, |budget| node(value.bytes()?, budget))?,
            (5, value) => budget.push(&mut graph.initializers, |budget| tensor(value.bytes()?, budget))?,
            (11, value) => budget.push(&mut graph.inputs, |budget| value_info(value.bytes()?, budget))?,
            (12, value) => budget.push(&mut graph.outputs, |budget| value_info(value.bytes()?, budget))?,
            _ => {}
        }
    }
    Ok(graph)
}

fn node<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<NodeProto<'a>> {
    let mut node = NodeProto::default();
    for field in Fields(bytes) {
        match field? {
            (1, value) => budget.push(&mut node.inputs, |_| value.text())?,
            (2, value) => budget.push(&mut node.outputs, |_| value.text())?,
            (3, value) => node.name = value.text()?,
            (4, value) => node.op = value.text()?,
            (5, value) => budget.push(&mut node.attributes, |budget| attribute(value.bytes()?, budget))?,
            (7, value) => node.domain = value.text()?,
            _ => {}
        }
    }
    Ok(node)
}

fn attribute<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<AttributeProto<'a>> {
    let mut attribute = AttributeProto::default();
    for field in Fields(bytes) {
        match field? {
            (1, value) => attribute.name = value.text()?,
            (2, value) => attribute.float = Some(value.float()?),
            (3, value) => attribute.int = Some(value.int()?),
            // a byte string, which the attributes of other operators may use for anything
            (4, value) => attribute.text = std::str::from_utf8(value.bytes()?).ok(),
            (5, value) => attribute.tensor = Some(Box::new(tensor(value.bytes()?, budget)?)),
            (7, value) => value.floats(&mut attribute.floats, budget)?,
            (8, value) => value.ints(&mut attribute.ints, budget)?,
            _ => {}
        }
    }
    Ok(attribute)
}

fn tensor<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<TensorProto<'a>> {
    budget.spend(size_of::<TensorProto<'_>>())?;
    let mut tensor = TensorProto::default();
    let (mut external, mut elsewhere) = (External::default(), false);
    for field in Fields(bytes) {
        match field? {
            (1, value) => value.ints(&mut tensor.dims, budget)?,
            (2, value) => tensor.data_type = value.int()?,
            // these take no more than the file does
            (4, value) => value.floats(&mut tensor.floats, &mut Budget(usize::MAX))?,
            (5 | 7 | 11, value) => value.ints(&mut tensor.ints, budget)?,
            (8, value) => tensor.name = value.text()?,
            (9, value) => tensor.raw = Some(value.bytes()?),
            (10, value) => value.doubles(&mut tensor.doubles, &mut Budget(usize::MAX))?,
            (13, value) => external.set(value.bytes()?)?,
            (14, value) => elsewhere = value.int()? == 1,
            _ => {}
        }
    }
    tensor.external = elsewhere.then_some(external);
    Ok(tensor)
}

impl<'a> External<'a> {
    /// Takes one entry, a pair of texts.
    fn set(&mut self, bytes: &'a [u8]) -> Result<()> {
        let (mut key, mut text) = ("", "");
        for field in Fields(bytes) {
            match field? {
                (1, value) => key = value.text()?,
                (2, value) => text = value.text()?,
                _ => {}
            }
        }
        let number = || text.parse().map_err(|_| damaged("where values are in another file is no number"));
        match key {
            "location" => self.location = text,
            "offset" => self.offset = number()?,
            "length" => self.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }
}

fn value_info<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<ValueProto<'a>> {
    let mut info = ValueProto::default();
    for field in Fields(bytes) {
        match field? {
            (1, value) => info.name = value.text()?,
            (2, value) => {
                info.dims = dims(value.bytes()?, budget)?;
                info.element_type = element_type(value.bytes()?)?;
            }
            _ => {}
        }
    }
    Ok(info)
}

/// The shape of a TypeProto, if it is a tensor's and the file gives it.
fn dims(bytes: &[u8], budget: &mut Budget) -> Result<Option<Vec<Option<i64>>>> {
    let shape = message(bytes, 1)?.map(|tensor| message(tensor, 2)).transpose()?.flatten();
    let Some(shape) = shape else { return Ok(None) };
    let mut dims = Vec::new();
    for field in Fields(shape) {
        let (1, value) = field? else { continue };
        let mut size = None;
        for field in Fields(value.bytes()?) {
            if let (1, value) = field? {
                size = Some(value.int()?);
            }
        }
        budget.push(&mut dims, |_| Ok(size))?;
    }
    Ok(Some(dims))
}

/// The type of the elements of a TypeProto, if it is a tensor's.
fn element_type(bytes: &[u8]) -> Result<i64> {
    let mut found = 0;
    for field in Fields(message(bytes, 1)?.unwrap_or_default()) {
        if let (1, value) = field? {
            found = value.int()?;
        }
    }
    Ok(found)
}

/// The last message with this number.
fn message(bytes: &[u8], wanted: u64) -> Result<Option<&[u8]>> {
    let mut found = None;
    for field in Fields(bytes) {
        let (number, value) = field?;
        if number == wanted {
            found = Some(value.bytes()?);
        }
    }
    Ok(found)
}

/// Bytes that may still be allocated.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            Error::new(Kind::File, "the file has more nodes, names and numbers than any network has use for")
        })?;
        Ok(())
    }

    /// Adds an element to a list; a growing list takes up to three times its elements while it moves.
    fn push<T>(&mut self, list: &mut Vec<T>, make: impl FnOnce(&mut Self) -> Result<T>) -> Result<()> {
        self.spend(3 * size_of::<T>())?;
        list.push(make(self)?);
        Ok(())
    }
}

/// The fields of a message, each with its number.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>)> {
        let key = varint(&mut self.0)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.0)?),
            1 => Value::Bits64(u64::from_le_bytes(take_array(&mut self.0)?)),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| truncated())?;
                Value::Bytes(take(&mut self.0, length)?)
            }
            5 => Value::Bits32(u32::from_le_bytes(take_array(&mut self.0)?)),
            _ => return Err(damaged("a field has a type that does not exist")),
        };
        Ok((key >> 3, value))
    }
}

/// The value of a field as it is written.
enum Value<'a> {
    Varint(u64),
    Bits32(u32),
    Bits64(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(&self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(damaged("a number stands where a message should")),
        }
    }

    fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| damaged("a name is not text"))
    }

    fn int(&self) -> Result<i64> {
        match self {
            Self::Varint(bits) => Ok(*bits as i64),
            _ => Err(damaged("something else stands where a whole number should")),
        }
    }

    fn float(&self) -> Result<f32> {
        match self {
            Self::Bits32(bits) => Ok(f32::from_bits(*bits)),
            _ => Err(damaged("something else stands where a number should")),
        }
    }

    /// One number, or many packed into one field.
    fn ints(&self, list: &mut Vec<i64>, budget: &mut Budget) -> Result<()> {
        let Self::Bytes(packed) = self else { return budget.push(list, |_| self.int()) };
        let mut packed: &[u8] = packed;
        while !packed.is_empty() {
            budget.push(list, |_| Ok(varint(&mut packed)? as i64))?;
        }
        Ok(())
    }

    fn floats(&self, list: &mut Vec<f32>, budget: &mut Budget) -> Result<()> {
        let Self::Bytes(packed) = self else { return budget.push(list, |_| self.float()) };
        budget.spend(packed.len())?;
        list.extend(packed.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        Ok(())
    }

    fn doubles(&self, list: &mut Vec<f64>, budget: &mut Budget) -> Result<()> {
        match self {
            Self::Bytes(packed) => {
                budget.spend(packed.len())?;
                list.extend(packed.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)));
                Ok(())
            }
            Self::Bits64(bits) => budget.push(list, |_| Ok(f64::from_bits(*bits))),
            _ => Err(damaged("something else stands where a number should")),
        }
    }
}

/// Seven bits a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take_array(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged("a number has more than 64 bits"))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length).ok_or_else(truncated)?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, left) = rest.split_first_chunk().ok_or_else(truncated)?;
    *rest = left;
    Ok(*taken)
}

fn truncated() -> Error {
    damaged("it ends in the middle")
}

fn damaged(why: &str) -> Error {
    Error::new(Kind::File, format!("not a sound ONNX file: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_single_numbers_are_the_same() {
        // dims 3, 300 packed and one by one; float_data 1.5 both ways
        let packed = [0x0a, 3, 3, 0xac, 2, 0x22, 4, 0, 0, 0xc0, 0x3f];
        let single = [8, 3, 8, 0xac, 2, 0x25, 0, 0, 0xc0, 0x3f];
        for bytes in [&packed[..], &single[..]] {
            let tensor = tensor(bytes, &mut Budget(10_000)).unwrap();
            assert_eq!((tensor.dims, tensor.floats), (vec![3, 300], vec![1.5]));
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bytes in [&[0x3a, 5, 0][..], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[0x3a]] {
            assert!(parse(bytes).unwrap_err().to_string().contains("ends in the middle"));
        }
        assert!(parse(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(parse(&[0x3b]).is_err());
    }

    #[test]
    fn many_empty_nodes_exceed_the_budget() {
        let nodes = [0x0a, 0].repeat(1 << 20);
        let mut file = vec![0x3a, 0x80, 0x80, 0x80, 1];
        file.extend(nodes);
        assert!(parse(&file).unwrap_err().to_string().contains("more nodes"));
    }
}
