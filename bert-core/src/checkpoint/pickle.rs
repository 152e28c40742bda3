//! The subset of Python's pickle that describes a `state_dict`, read without executing anything.
//!
//! A pickle is a program for a stack machine that can import any function and call it. This reader knows
//! the opcodes that build numbers, strings, tuples, lists and dictionaries, and the few names in
//! [`Class::named`]; it "calls" them by taking down what they describe. Every other opcode and every other
//! name is refused by name. Values live in one arena and refer to each other by index: no recursion, no
//! reference counts, and a pickle that refers to itself a million times costs no more than its own length.

use std::collections::{BTreeMap, HashMap};

use super::stored::StoredType;
use crate::tensor::DType;

/// Longest description that is read. A BERT of 24 layers takes 100 KB.
const MAX_BYTES: usize = 16 << 20;
/// Most values that a description may build; a tensor takes about 15.
const MAX_VALUES: usize = 1 << 20;
/// Most tensors in a description.
const MAX_TENSORS: usize = 100_000;
/// Most axes of a tensor, as in PyTorch.
const MAX_AXES: usize = 64;

/// Why a pickle was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The program ends before its STOP.
    #[error("the pickle ends early, at byte {at}; download the file again")]
    Truncated {
        /// Where a byte was missing.
        at: usize,
    },
    /// An opcode that no plain `state_dict` needs.
    #[error(
        "the pickle uses opcode {code:#04x} ({name}) at byte {at}, which no plain state_dict needs; {SAVE}"
    )]
    Opcode {
        /// The opcode.
        code: u8,
        /// Its name in Python's `pickletools`.
        name: &'static str,
        /// Where it stands.
        at: usize,
    },
    /// A class or function outside the short list that describes tensors.
    #[error("the pickle asks to import {module:?} {name:?} at byte {at}; nothing is imported or run; {SAVE}")]
    Class {
        /// The Python module.
        module: String,
        /// The name in the module.
        name: String,
        /// Where it is asked for.
        at: usize,
    },
    /// A version of pickle that did not exist when this was written.
    #[error("pickle protocol {protocol} is not supported; 2 to 5 are")]
    Protocol {
        /// The version.
        protocol: u8,
    },
    /// An opcode finds other values on the stack than it takes.
    #[error("{what} at byte {at} of the pickle is malformed")]
    Malformed {
        /// What was being built.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// The program is larger than any real one.
    #[error("the pickle holds more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// The pickle is readable, but describes something else than named tensors.
    #[error("the pickle does not hold a dictionary of tensors; {SAVE}")]
    NotAStateDict,
}

const SAVE: &str = "save with `torch.save(model.state_dict(), file)`, or as safetensors";

/// A tensor as the pickle describes it. Nothing is checked against the bytes yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description<'a> {
    /// The kind of number in the storage.
    pub(super) dtype: StoredType,
    /// The name of the storage: the archive holds it as `data/<key>`.
    pub(super) key: &'a str,
    /// How many numbers the storage holds.
    pub(super) storage_length: usize,
    /// The first number of the tensor in its storage.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// In numbers, one an axis.
    pub(super) strides: Vec<usize>,
}

/// The named tensors of the `state_dict` that `pickle` describes. Other values are passed over.
pub(super) fn read_state_dict(pickle: &[u8]) -> Result<BTreeMap<&str, Description<'_>>, PickleError> {
    if pickle.len() > MAX_BYTES {
        return Err(PickleError::TooLarge { what: "bytes", limit: MAX_BYTES });
    }
    Machine { input: pickle, ..Machine::default() }.run()
}

/// What a name in a pickle stands for.
#[derive(Clone, Debug)]
enum Class {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildParameter,
    Storage(StoredType),
}

impl Class {
    fn named(module: &str, name: &str) -> Option<Self> {
        let storage = |dtype| Some(Self::Storage(StoredType::Native(dtype)));
        let foreign =
            |name: &str, bits| Some(Self::Storage(StoredType::Foreign { name: name.to_owned(), bits }));
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch", "Size") => Some(Self::Size),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", "DoubleStorage") => storage(DType::F64),
            ("torch", "FloatStorage") => storage(DType::F32),
            ("torch", "HalfStorage") => storage(DType::F16),
            ("torch", "BFloat16Storage") => storage(DType::Bf16),
            ("torch", "LongStorage") => storage(DType::I64),
            ("torch", "IntStorage") => storage(DType::I32),
            ("torch", "CharStorage") => storage(DType::I8),
            ("torch", "ByteStorage") => storage(DType::U8),
            ("torch", "ShortStorage") => foreign("i16", 16),
            ("torch", "BoolStorage") => foreign("bool", 8),
            _ => None,
        }
    }
}

/// The index of a value in the arena.
type Id = usize;

#[derive(Debug)]
enum Value<'a> {
    /// None, a truth value: nothing that a tensor is made of.
    Opaque,
    Int(i64),
    Str(&'a str),
    Tuple(Vec<Id>),
    List,
    Dict(Vec<(Id, Id)>),
    Class(Class),
    Storage {
        dtype: StoredType,
        key: &'a str,
        length: usize,
    },
    Tensor(Description<'a>),
}

#[derive(Default)]
struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    tensors: usize,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<BTreeMap<&'a str, Description<'a>>, PickleError> {
        loop {
            let at = self.at;
            let code = self.take::<1>()?[0];
            match code {
                b'.' => break,
                b'\x80' => self.protocol()?,
                // A frame only says how much to read ahead.
                b'\x95' => {
                    self.take::<8>()?;
                }
                b'(' => self.marks.push(self.stack.len()),

                b'N' | b'\x88' | b'\x89' => self.push(Value::Opaque)?,
                b'K' => {
                    let [value] = self.take()?;
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.take()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'\x8a' => self.long()?,
                b'X' => {
                    let length = u32::from_le_bytes(self.take()?);
                    self.string(length as usize)?;
                }
                b'\x8c' => {
                    let [length] = self.take()?;
                    self.string(length.into())?;
                }

                b')' => self.push(Value::Tuple(Vec::new()))?,
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                b'\x85'..=b'\x87' => {
                    let mut items = vec![0; usize::from(code - b'\x84')];
                    for item in items.iter_mut().rev() {
                        *item = self.pop()?;
                    }
                    self.push(Value::Tuple(items))?;
                }
                b']' => self.push(Value::List)?,
                b'a' => {
                    self.pop()?;
                    self.expect_list(at)?;
                }
                b'e' => {
                    self.pop_to_mark()?;
                    self.expect_list(at)?;
                }
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.dict(at)?.push((key, value));
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    let (pairs, []) = items.as_chunks::<2>() else {
                        return Err(PickleError::Malformed { what: "a dictionary", at });
                    };
                    self.dict(at)?.extend(pairs.iter().map(|&[key, value]| (key, value)));
                }

                b'q' => {
                    let [slot] = self.take()?;
                    self.remember(slot.into())?;
                }
                b'r' => {
                    let slot = u32::from_le_bytes(self.take()?);
                    self.remember(slot)?;
                }
                b'\x94' => {
                    let slot = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                    self.remember(slot)?;
                }
                b'h' => {
                    let [slot] = self.take()?;
                    self.recall(slot.into(), at)?;
                }
                b'j' => {
                    let slot = u32::from_le_bytes(self.take()?);
                    self.recall(slot, at)?;
                }

                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.class(module, name, at)?;
                }
                b'\x93' => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (&Value::Str(module), &Value::Str(name)) = (&self.values[module], &self.values[name])
                    else {
                        return Err(PickleError::Malformed { what: "a class name", at });
                    };
                    self.class(module, name, at)?;
                }
                b'Q' => self.storage(at)?,
                b'R' => self.call(at)?,
                b'b' => {
                    // An OrderedDict carries the versions of its modules as state. Nobody asks for them.
                    self.pop()?;
                    self.dict(at)?;
                }
                _ => return Err(PickleError::Opcode { code, name: opcode_name(code), at }),
            }
        }
        self.finish()
    }

    fn finish(mut self) -> Result<BTreeMap<&'a str, Description<'a>>, PickleError> {
        let root = self.pop()?;
        let Value::Dict(pairs) = &self.values[root] else { return Err(PickleError::NotAStateDict) };
        let mut tensors = BTreeMap::new();
        // As in Python, the last of several equal keys counts.
        for &(key, value) in pairs {
            if let (&Value::Str(key), Value::Tensor(tensor)) = (&self.values[key], &self.values[value]) {
                tensors.insert(key, tensor.clone());
            }
        }
        if tensors.is_empty() { Err(PickleError::NotAStateDict) } else { Ok(tensors) }
    }

    // Reading the program.

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let rest = &self.input[self.at..];
        let bytes = rest.get(..length).ok_or(PickleError::Truncated { at: self.input.len() })?;
        self.at += length;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("N bytes were asked for"))
    }

    fn text(&self, bytes: &'a [u8]) -> Result<&'a str, PickleError> {
        std::str::from_utf8(bytes).map_err(|_| PickleError::Malformed { what: "a string", at: self.at })
    }

    fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or(PickleError::Truncated { at: self.input.len() })?;
        let line = self.bytes(length)?;
        self.at += 1;
        self.text(line)
    }

    fn protocol(&mut self) -> Result<(), PickleError> {
        let [protocol] = self.take()?;
        if (2..=5).contains(&protocol) { Ok(()) } else { Err(PickleError::Protocol { protocol }) }
    }

    /// A little-endian integer of any length; nothing in a state_dict exceeds 64 bits.
    fn long(&mut self) -> Result<(), PickleError> {
        let at = self.at;
        let [length] = self.take()?;
        let bytes = self.bytes(length.into())?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let Some(low) = wide.get_mut(..bytes.len()) else {
            return Err(PickleError::Malformed { what: "an integer of more than 64 bits", at });
        };
        low.copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn string(&mut self, length: usize) -> Result<(), PickleError> {
        let bytes = self.bytes(length)?;
        let text = self.text(bytes)?;
        self.push(Value::Str(text))
    }

    // The stack and the memo.

    fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        if self.values.len() == MAX_VALUES {
            return Err(PickleError::TooLarge { what: "values", limit: MAX_VALUES });
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The value on top, which must not lie under a mark.
    fn top(&self) -> Result<Id, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).and_then(<[Id]>::last);
        above.copied().ok_or(PickleError::Malformed { what: "the stack", at: self.at })
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let missing = PickleError::Malformed { what: "the stack", at: self.at };
        let mark = self.marks.pop().ok_or(missing)?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, slot: u32) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(slot, top);
        if self.memo.len() > MAX_VALUES {
            return Err(PickleError::TooLarge { what: "memo slots", limit: MAX_VALUES });
        }
        Ok(())
    }

    fn recall(&mut self, slot: u32, at: usize) -> Result<(), PickleError> {
        let malformed = PickleError::Malformed { what: "a reference to an earlier value", at };
        let id = *self.memo.get(&slot).ok_or(malformed)?;
        self.stack.push(id);
        Ok(())
    }

    fn expect_list(&self, at: usize) -> Result<(), PickleError> {
        match self.values[self.top()?] {
            Value::List => Ok(()),
            _ => Err(PickleError::Malformed { what: "a list", at }),
        }
    }

    fn dict(&mut self, at: usize) -> Result<&mut Vec<(Id, Id)>, PickleError> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Dict(pairs) => Ok(pairs),
            _ => Err(PickleError::Malformed { what: "a dictionary", at }),
        }
    }

    // The names and what they build.

    fn class(&mut self, module: &str, name: &str, at: usize) -> Result<(), PickleError> {
        let shown = |text: &str| text.chars().take(100).collect();
        let class = Class::named(module, name);
        let class =
            class.ok_or_else(|| PickleError::Class { module: shown(module), name: shown(name), at })?;
        self.push(Value::Class(class))
    }

    fn size(&self, id: Id) -> Option<usize> {
        match self.values[id] {
            Value::Int(value) => value.try_into().ok(),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match &self.values[id] {
            Value::Tuple(items) if items.len() <= MAX_AXES => items.iter().map(|&id| self.size(id)).collect(),
            _ => None,
        }
    }

    /// A persistent id: `("storage", class, key, device, length)`.
    fn storage(&mut self, at: usize) -> Result<(), PickleError> {
        let id = self.pop()?;
        let storage = self.described_storage(id).ok_or(PickleError::Malformed { what: "a storage", at })?;
        self.push(storage)
    }

    fn described_storage(&self, id: Id) -> Option<Value<'a>> {
        let Value::Tuple(items) = &self.values[id] else { return None };
        let &[kind, class, key, _device, length] = items.as_slice() else { return None };
        let (Value::Str("storage"), Value::Class(Class::Storage(dtype)), &Value::Str(key)) =
            (&self.values[kind], &self.values[class], &self.values[key])
        else {
            return None;
        };
        Some(Value::Storage { dtype: dtype.clone(), key, length: self.size(length)? })
    }

    fn call(&mut self, at: usize) -> Result<(), PickleError> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        let (Value::Class(class), Value::Tuple(arguments)) = (&self.values[class], &self.values[arguments])
        else {
            return Err(PickleError::Malformed { what: "a call", at });
        };
        match (class, arguments.as_slice()) {
            (Class::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Class::Size, &[sizes]) if matches!(self.values[sizes], Value::Tuple(_)) => {
                self.stack.push(sizes);
                Ok(())
            }
            (Class::RebuildParameter, &[data, ..]) if matches!(self.values[data], Value::Tensor(_)) => {
                self.stack.push(data);
                Ok(())
            }
            (Class::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let tensor = self.described_tensor(storage, offset, shape, strides);
                let tensor = tensor.ok_or(PickleError::Malformed { what: "a tensor", at })?;
                self.tensors += 1;
                if self.tensors > MAX_TENSORS {
                    return Err(PickleError::TooLarge { what: "tensors", limit: MAX_TENSORS });
                }
                self.push(tensor)
            }
            _ => Err(PickleError::Malformed { what: "a call", at }),
        }
    }

    fn described_tensor(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Option<Value<'a>> {
        let Value::Storage { dtype, key, length } = &self.values[storage] else { return None };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        (shape.len() == strides.len()).then_some(Value::Tensor(Description {
            dtype: dtype.clone(),
            key,
            storage_length: *length,
            offset: self.size(offset)?,
            shape,
            strides,
        }))
    }
}

/// The name of an opcode that is not read, for messages.
fn opcode_name(code: u8) -> &'static str {
    match code {
        b'0' => "POP",
        b'1' => "POP_MARK",
        b'2' => "DUP",
        b'F' => "FLOAT",
        b'G' => "BINFLOAT",
        b'I' => "INT",
        b'L' => "LONG",
        b'\x8b' => "LONG4",
        b'S' => "STRING",
        b'T' => "BINSTRING",
        b'U' => "SHORT_BINSTRING",
        b'B' => "BINBYTES",
        b'C' => "SHORT_BINBYTES",
        b'\x8e' => "BINBYTES8",
        b'\x96' => "BYTEARRAY8",
        b'\x97' => "NEXT_BUFFER",
        b'\x98' => "READONLY_BUFFER",
        b'V' => "UNICODE",
        b'\x8d' => "BINUNICODE8",
        b'l' => "LIST",
        b'd' => "DICT",
        b'\x8f' => "EMPTY_SET",
        b'\x90' => "ADDITEMS",
        b'\x91' => "FROZENSET",
        b'g' => "GET",
        b'p' => "PUT",
        b'P' => "PERSID",
        b'i' => "INST",
        b'o' => "OBJ",
        b'\x81' => "NEWOBJ",
        b'\x92' => "NEWOBJ_EX",
        b'\x82' => "EXT1",
        b'\x83' => "EXT2",
        b'\x84' => "EXT4",
        _ => "not an opcode",
    }
}
