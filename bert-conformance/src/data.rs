//! Inputs: where their numbers come from, and how they lie in memory.
//!
//! An [`Operand`] knows both what a backend should see and what is stored. A strided operand is a window on
//! a larger block whose other numbers are poison (NaN), so that an operation that reads past its view shows
//! it in its result. [`DeviceInputs::collect`] downloads the whole blocks again and compares them bit by bit, so
//! that an operation that writes to its input shows that too.

use std::fmt;
use std::ops::Range;

use bert_core::Backend;
use bert_core::contract::{MASKED, Tensor};
use bert_core::tensor::{DType, Element, HostTensor, Shape};
use fastrand::Rng;
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use crate::fault::Fault;

/// A number of the standard normal distribution, by the method of Box and Muller.
pub fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// A seed of its own for each name. (FNV-1a, whose values are the same everywhere.)
pub fn seed(seed: u64, name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    seed ^ hash
}

/// The distribution of the numbers of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Mean 0, deviation 1.
    Normal,
    /// Mean 1000, deviation 1: what is left after the mean is subtracted has lost ten bits.
    Offset,
    /// Deviation 1e-6: a variance as small as a LayerNorm's epsilon.
    Small,
    /// Deviation 25, so that maxima lie near 80: a softmax over them has one winner a row.
    Peaked,
    /// Half of them normal, half "never look here".
    Masked,
    /// Both signs, magnitudes from denormals to 1e15, zeros and other special numbers among them.
    Wide,
    /// Magnitudes from 1e-6 to 1e6, all positive.
    Positive,
    /// The same, all negative.
    Negative,
    /// Between -100 and 88, where `exp` neither overflows nor stays above the denormals.
    Exponents,
    /// Normal, but for some that are no numbers, which have to be seen in what comes of them.
    Holed,
    /// Whole numbers between 0 and 2^24, which `f32` holds exactly.
    Whole,
}

impl Values {
    fn sample(self, rng: &mut Rng) -> f32 {
        let magnitude = |rng: &mut Rng, low: f64, high: f64| 10f64.powf(low + (high - low) * rng.f64());
        let value = match self {
            Self::Normal => normal(rng),
            Self::Offset => 1e3 + normal(rng),
            Self::Small => 1e-6 * normal(rng),
            Self::Peaked => 25.0 * normal(rng),
            Self::Masked if rng.bool() => f64::from(MASKED),
            Self::Masked => normal(rng),
            Self::Holed if rng.u8(..100) == 0 => f64::NAN,
            Self::Holed => normal(rng),
            Self::Wide => match rng.u8(..8) {
                0 => *rng.choice(&SPECIAL).expect("not empty"),
                sign => magnitude(rng, -42.0, 15.0) * if sign & 1 == 0 { 1.0 } else { -1.0 },
            },
            Self::Positive => magnitude(rng, -6.0, 6.0),
            Self::Negative => -magnitude(rng, -6.0, 6.0),
            Self::Exponents => -100.0 + 188.0 * rng.f64(),
            Self::Whole => f64::from(rng.u32(..1 << 24)),
        };
        value as f32
    }
}

const SPECIAL: [f64; 8] =
    [0.0, -0.0, 1.0, -1.0, f32::MIN_POSITIVE as f64, f32::EPSILON as f64, MASKED as f64, -(MASKED as f64)];

impl Values {
    /// A root mean square below this one says nothing: numbers of the order of 1 can cancel to it by chance,
    /// and their rounding stays.
    pub fn floor(self) -> f64 {
        if self == Self::Small { 1e-30 } else { 0.1 }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// How an operand lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Row-major, from the first number of a buffer to the last.
    Plain,
    /// The last two axes change places.
    Transposed,
    /// The second and the third axis change places, as heads and tokens do in attention.
    Interleaved,
    /// The inside of a larger block.
    Sliced,
    /// The inside of a larger block, the last two axes in each other's place.
    SlicedTransposed,
    /// The first extent is a repetition, as of a bias. (Stride 0.)
    RepeatedRows,
    /// The last extent is a repetition, as of a row's mean. (Stride 0.)
    RepeatedColumns,
}

impl Layout {
    /// All layouts that differ for operands of this rank.
    pub fn of_rank(rank: usize) -> Vec<Self> {
        let mut all = vec![Self::Plain, Self::Sliced, Self::RepeatedRows];
        if rank >= 2 {
            all.extend([Self::Transposed, Self::SlicedTransposed, Self::RepeatedColumns]);
        }
        if rank >= 3 {
            all.push(Self::Interleaved);
        }
        all
    }

    fn swap(self, rank: usize) -> Option<(usize, usize)> {
        match self {
            Self::Transposed | Self::SlicedTransposed if rank >= 2 => Some((rank - 2, rank - 1)),
            Self::Interleaved if rank >= 3 => Some((1, 2)),
            _ => None,
        }
    }

    fn repeated(self, rank: usize) -> Option<Axis> {
        match self {
            Self::RepeatedRows => Some(Axis(0)),
            Self::RepeatedColumns => Some(Axis(rank - 1)),
            _ => None,
        }
    }

    /// How many numbers of poison lie before and after the operand on an axis.
    fn guard(self, axis: usize, rank: usize) -> (usize, usize) {
        match self {
            Self::Sliced | Self::SlicedTransposed if axis + 1 == rank => (3, 6),
            Self::Sliced | Self::SlicedTransposed => (1, 2),
            _ => (0, 0),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Transposed => "transposed",
            Self::Interleaved => "interleaved",
            Self::Sliced => "sliced",
            Self::SlicedTransposed => "sliced+transposed",
            Self::RepeatedRows => "repeated-rows",
            Self::RepeatedColumns => "repeated-columns",
        })
    }
}

/// An input: what a backend should see, and what lies in memory.
#[derive(Clone)]
pub struct Operand {
    /// What the view shows, row-major.
    pub values: ArrayD<f64>,
    stored: HostTensor,
    window: Vec<Range<usize>>,
    axes: Vec<usize>,
}

impl Operand {
    /// Random numbers.
    pub fn random(rng: &mut Rng, shape: &[usize], layout: Layout, values: Values) -> Self {
        Self::floats(ArrayD::from_shape_simple_fn(IxDyn(shape), || values.sample(rng)), layout)
    }

    /// These numbers. Where the layout repeats an axis, its first index is what is repeated.
    pub fn floats(array: ArrayD<f32>, layout: Layout) -> Self {
        Self::stored(array, layout, f32::NAN, f64::from)
    }

    /// These ids. Poison is an id like any other: choose one that leads to poison.
    pub fn ids(ids: &[u32], layout: Layout, poison: u32) -> Self {
        let array = ArrayD::from_shape_vec(IxDyn(&[ids.len()]), ids.to_vec()).expect("a vector");
        Self::stored(array, layout, poison, f64::from)
    }

    fn stored<T: Element>(array: ArrayD<T>, layout: Layout, poison: T, widen: fn(T) -> f64) -> Self {
        let rank = array.ndim();
        let shape = array.raw_dim();
        let array = match layout.repeated(rank) {
            Some(axis) => array.slice_axis(axis, Slice::from(0..1)).to_owned(),
            None => array,
        };
        let values = array.broadcast(shape).expect("repeated or the same").mapv(widen);

        let mut axes: Vec<usize> = (0..rank).collect();
        if let Some((a, b)) = layout.swap(rank) {
            axes.swap(a, b); // its own inverse
        }
        let array = array.permuted_axes(axes.clone());
        let guards: Vec<_> = (0..rank).map(|axis| layout.guard(axis, rank)).collect();
        let window: Vec<_> =
            guards.iter().zip(array.shape()).map(|(&(before, _), &extent)| before..before + extent).collect();
        let whole: Vec<_> =
            guards.iter().zip(&window).map(|(&(_, after), range)| range.end + after).collect();
        let mut block = ArrayD::from_elem(IxDyn(&whole), poison);
        block.slice_each_axis_mut(|axis| Slice::from(window[axis.axis.index()].clone())).assign(&array);
        let stored = HostTensor::from_array(block).expect("rank 4 at most");
        Self { values, stored, window, axes }
    }

    /// The numbers as a row-major slice.
    pub fn slice(&self) -> &[f64] {
        self.values.as_slice().expect("made row-major")
    }

    /// The shape that the view has.
    pub fn shape(&self) -> &[usize] {
        self.values.shape()
    }
}

/// The inputs of one operation on a device.
pub struct DeviceInputs<'a, B: Backend> {
    backend: &'a B,
    blocks: Vec<(Tensor<B>, HostTensor)>,
    inputs: Vec<String>,
}

impl<'a, B: Backend> DeviceInputs<'a, B> {
    /// Without inputs so far.
    pub fn new(backend: &'a B) -> Self {
        Self { backend, blocks: vec![], inputs: vec![] }
    }

    /// The backend that the inputs are on.
    pub fn backend(&self) -> &'a B {
        self.backend
    }

    /// Uploads an operand. The name is for messages.
    pub fn place(&mut self, name: &str, operand: &Operand) -> Result<Tensor<B>, bert_core::Error> {
        let block = self.backend.upload(&operand.stored)?;
        let mut view = block.clone();
        for (axis, range) in operand.window.iter().enumerate() {
            view = view.slice(axis, range.clone())?;
        }
        let view = view.permute(&operand.axes)?.broadcast_to(Shape::new(operand.shape())?)?;
        let (shape, strides, offset) = (view.shape(), view.strides(), view.offset());
        let dtype = view.dtype();
        self.inputs.push(format!("{name} {dtype} {shape:?} strides {strides:?} offset {offset}"));
        self.blocks.push((block, operand.stored.clone()));
        Ok(view)
    }

    /// The inputs so far, in words.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// Downloads results, as `f64`, and makes sure that the inputs are what they were.
    pub fn collect(&self, results: &[Tensor<B>]) -> Result<Vec<ArrayD<f64>>, Fault> {
        let mut views = results.to_vec();
        views.extend(self.blocks.iter().map(|(block, _)| block.clone()));
        let host = pollster::block_on(self.backend.download(&views))?;
        if host.len() != views.len() {
            return Err(Fault::Count { asked: views.len(), found: host.len() });
        }
        for ((host, (_, stored)), input) in host[results.len()..].iter().zip(&self.blocks).zip(&self.inputs) {
            let (found, stored) = (numbers(host)?, numbers(stored)?);
            let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            if found.shape() != stored.shape() || !found.iter().zip(&stored).all(same) {
                return Err(Fault::InputChanged { input: input.clone() });
            }
        }
        host[..results.len()].iter().map(numbers).collect()
    }
}

/// Floats or ids as `f64`, which holds both exactly.
pub fn numbers(tensor: &HostTensor) -> Result<ArrayD<f64>, Fault> {
    match tensor.dtype() {
        DType::U32 => Ok(tensor.as_array::<u32>().expect("owned, hence aligned").mapv(f64::from)),
        _ => Ok(tensor.to_f64()?.into_owned()),
    }
}
