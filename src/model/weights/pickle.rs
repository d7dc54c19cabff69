//! Python's pickles, as far as state dicts use them.
//!
//! A pickle is a program for a small stack machine that may call any Python function. This machine knows only the
//! operations that build plain data, and of functions only those that rebuild tensors, which it does not call but
//! notes down; it refuses everything else by name. The operations are described in Python's `pickletools`.

mod objects;

use std::collections::HashMap;

use self::objects::global;
pub(super) use self::objects::{Element, Global, Id, Object};
use crate::error::{Error, Kind, Result};

/// How many things a pickle may make. A tensor takes about 25, so this is enough for 20,000 of them, and keeps what a
/// hostile pickle occupies far below 64 MiB.
const MAX_STEPS: usize = 500_000;

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    objects: Vec<Object<'a>>,
    root: Id,
    /// How many bytes it took.
    pub length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` begin with.
    ///
    /// # Errors
    /// It is damaged, too large, or names a function or class that state dicts do not need.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        Machine {
            bytes,
            at: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            steps: 0,
        }
        .run()
    }

    /// What the whole pickle stands for.
    pub fn root(&self) -> &Object<'a> {
        self.get(self.root)
    }

    /// One of its objects.
    pub fn get(&self, id: Id) -> &Object<'a> {
        self.objects.get(id.0 as usize).unwrap_or(&Object::None)
    }

    /// All its objects.
    pub fn objects(&self) -> &[Object<'a>] {
        &self.objects
    }

    /// The items of a tuple or a list.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a text key in a dictionary; the last one counts.
    pub fn entry(&self, entries: &[(Id, Id)], wanted: &str) -> Option<Id> {
        let found =
            entries.iter().rev().find(|(key, _)| matches!(self.get(*key), Object::Text(text) if *text == wanted));
        found.map(|(_, value)| *value)
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at its open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    steps: usize,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Pickle<'a>> {
        loop {
            let operation = self.byte()?;
            if operation == b'.' {
                let root = self.pop()?;
                return Ok(Pickle { objects: self.objects, root, length: self.at });
            }
            self.execute(operation)?;
        }
    }

    fn execute(&mut self, operation: u8) -> Result<()> {
        match operation {
            // PROTO, FRAME
            0x80 => self.skip(1),
            0x95 => self.skip(8),
            // MARK, POP, POP_MARK, DUP
            b'(' => {
                self.marks.push(self.stack.len());
                self.step()
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push_id(top)
            }
            // NONE, NEWTRUE, NEWFALSE
            b'N' => self.push(Object::None),
            0x88 => self.push(Object::Bool(true)),
            0x89 => self.push(Object::Bool(false)),
            // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Object::Int(value.into()))
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Object::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Object::Int(value.into()))
            }
            0x8a => {
                let length = self.byte()?;
                self.long(length.into())
            }
            0x8b => {
                let length = u32::from_le_bytes(self.array()?);
                self.long(length.into())
            }
            b'G' => {
                self.skip(8)?;
                self.push(Object::Other)
            }
            // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                self.text(length.into())
            }
            0x8c => {
                let length = self.byte()?;
                self.text(length.into())
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array()?);
                self.text(length)
            }
            // SHORT_BINSTRING, BINSTRING: the text of Python 2
            b'U' => {
                let length = self.byte()?;
                self.text(length.into())
            }
            b'T' => {
                let length = u32::from_le_bytes(self.array()?);
                self.text(length.into())
            }
            // SHORT_BINBYTES, BINBYTES, BINBYTES8
            b'C' => {
                let length = self.byte()?;
                self.opaque(length.into())
            }
            b'B' => {
                let length = u32::from_le_bytes(self.array()?);
                self.opaque(length.into())
            }
            0x8e => {
                let length = u64::from_le_bytes(self.array()?);
                self.opaque(length)
            }
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.push(Object::Tuple(Vec::new())),
            0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(operation - 0x84));
                let start =
                    start.filter(|start| *start >= self.floor()).ok_or_else(|| damaged("its stack is empty"))?;
                let items = self.stack.split_off(start);
                self.push(Object::Tuple(items))
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Object::Tuple(items))
            }
            // EMPTY_LIST, LIST, APPEND, APPENDS
            b']' => self.push(Object::List(Vec::new())),
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Object::List(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(&[item])
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.extend_list(&items)
            }
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.push(Object::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Object::Dict(Vec::new()))?;
                self.extend_dict(&items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.extend_dict(&items)
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => {
                let slot = self.byte()?;
                self.put(slot.into())
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.put(slot)
            }
            0x94 => self.put(u32::try_from(self.memo.len()).unwrap_or(u32::MAX)),
            b'h' => {
                let slot = self.byte()?;
                self.get(slot.into())
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.get(slot)
            }
            // GLOBAL, STACK_GLOBAL, REDUCE, BUILD, BINPERSID
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global(global(module, name)?))
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Object::Global(global(module, name)?))
            }
            b'R' => self.reduce(),
            b'b' => self.build(),
            b'Q' => {
                let description = self.pop()?;
                self.push(Object::Stored(description))
            }
            other => Err(damaged(&format!("operation 0x{other:02x} has no place in a state dict"))),
        }
    }

    /// Calls what is on the stack, or rather notes down what it would make.
    fn reduce(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let Object::Global(callee) = *self.object(callee) else {
            return Err(damaged("it calls what is not a function"));
        };
        let Object::Tuple(given) = self.object(arguments) else {
            return Err(damaged("it calls a function without arguments"));
        };
        match (callee, given.as_slice()) {
            (Global::RebuildTensor, _) => self.push(Object::Tensor(arguments)),
            (Global::RebuildParameter, [tensor, ..]) => {
                let tensor = *tensor;
                self.push_id(tensor)
            }
            (Global::OrderedDict, []) => self.push(Object::Dict(Vec::new())),
            // Python 2 gives its items as a list of pairs
            (Global::OrderedDict, [pairs]) => {
                let pairs = *pairs;
                let entries =
                    self.pairs(pairs).ok_or_else(|| damaged("an OrderedDict is made of something else than pairs"))?;
                self.push(Object::Dict(entries))
            }
            _ => Err(damaged("it calls a function with the wrong arguments")),
        }
    }

    fn pairs(&self, id: Id) -> Option<Vec<(Id, Id)>> {
        let Object::List(items) = self.object(id) else { return None };
        let pair = |item: &Id| match self.object(*item) {
            Object::Tuple(pair) | Object::List(pair) => <[Id; 2]>::try_from(pair.as_slice()).ok().map(|[a, b]| (a, b)),
            _ => None,
        };
        items.iter().map(pair).collect()
    }

    /// Gives an object attributes: state dicts have `_metadata`, which weights do not need.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        let top = self.top()?;
        match self.object(top) {
            Object::Dict(_) => Ok(()),
            _ => Err(damaged("it sets attributes of what is not a state dict")),
        }
    }

    fn long(&mut self, length: u64) -> Result<()> {
        let bytes = self.take(length)?;
        let mut wide = [if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 }; 8];
        match wide.get_mut(..bytes.len()) {
            Some(low) => low.copy_from_slice(bytes),
            None => return self.push(Object::Other),
        }
        self.push(Object::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, length: u64) -> Result<()> {
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => self.push(Object::Text(text)),
            Err(_) => self.push(Object::Other),
        }
    }

    fn opaque(&mut self, length: u64) -> Result<()> {
        self.take(length)?;
        self.push(Object::Other)
    }

    fn extend_list(&mut self, items: &[Id]) -> Result<()> {
        let list = self.top()?;
        match self.object_mut(list) {
            Some(Object::List(list)) => {
                list.extend_from_slice(items);
                Ok(())
            }
            _ => Err(damaged("it appends to what is not a list")),
        }
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<()> {
        let dict = self.top()?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(damaged("a key has no value"));
        };
        match self.object_mut(dict) {
            Some(Object::Dict(entries)) => {
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => Err(damaged("it sets an item of what is not a dictionary")),
        }
    }

    fn object(&self, id: Id) -> &Object<'a> {
        self.objects.get(id.0 as usize).unwrap_or(&Object::None)
    }

    fn object_mut(&mut self, id: Id) -> Option<&mut Object<'a>> {
        self.objects.get_mut(id.0 as usize)
    }

    fn push(&mut self, object: Object<'a>) -> Result<()> {
        // the number of steps keeps the number of objects far below what an id holds
        let id = Id(self.objects.len() as u32);
        self.objects.push(object);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<()> {
        self.stack.push(id);
        self.step()
    }

    /// Counts what takes memory.
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(damaged(&format!("it makes more than {MAX_STEPS} things, too many for a state dict")));
        }
        Ok(())
    }

    /// The height that the stack keeps below the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or_else(|| damaged("its stack is empty"))
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Everything above the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| damaged("a mark is missing"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn pop_text(&mut self) -> Result<&'a str> {
        let top = self.pop()?;
        match self.object(top) {
            Object::Text(text) => Ok(*text),
            _ => Err(damaged("the name of a function is not text")),
        }
    }

    fn put(&mut self, slot: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(slot, top);
        self.step()
    }

    fn get(&mut self, slot: u32) -> Result<()> {
        let id = *self.memo.get(&slot).ok_or_else(|| damaged("it remembers what it never kept"))?;
        self.push_id(id)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| damaged("it ends too early"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn skip(&mut self, length: u64) -> Result<()> {
        self.take(length).map(drop)
    }

    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N as u64)?;
        <[u8; N]>::try_from(taken).map_err(|_| damaged("it ends too early"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it ends too early"))?;
        let line = self.take(end as u64)?;
        self.skip(1)?;
        std::str::from_utf8(line).map_err(|_| damaged("the name of a function is not text"))
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Kind::File, format!("its pickle is damaged: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
