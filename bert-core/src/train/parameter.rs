//! What the buffers of a training backend are: numbers, with where they came from.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::TrainBackend;
use crate::Result;
use crate::contract::{Linear, Precision, Tensor};
use crate::tensor::{HostTensor, Shape, View};

/// A buffer of [`Autodiff<B>`](super::Autodiff).
#[derive(Clone)]
pub enum Node<B: TrainBackend> {
    /// Numbers that have no gradient: ids, bounds. The host remembers them for gradients of tables.
    Constant(B::Buffer, Option<Arc<HostTensor>>),
    /// What an entry of the tape gave.
    Result(B::Buffer, usize),
    /// A parameter.
    Parameter(Arc<Parameter<B>>),
}

impl<B: TrainBackend> fmt::Debug for Node<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(..) => f.write_str("Constant"),
            Self::Result(_, entry) => write!(f, "Result({entry})"),
            Self::Parameter(parameter) => write!(f, "Parameter({:?})", parameter.shape()),
        }
    }
}

/// A parameter: its master in `f32` (`f64` on the reference), and what linear layers made of it.
pub struct Parameter<B: TrainBackend> {
    shape: Shape,
    state: RwLock<State<B>>,
}

struct State<B: TrainBackend> {
    master: Tensor<B>,
    /// For the products forwards and backwards; made when they are first needed, and again after each step.
    prepared: Option<(Precision, B::Buffer, B::Buffer)>,
}

impl<B: TrainBackend> Parameter<B> {
    pub(super) fn new(master: Tensor<B>) -> Self {
        Self { shape: master.shape(), state: RwLock::new(State { master, prepared: None }) }
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The numbers as they are now.
    pub fn master(&self) -> Tensor<B> {
        self.read().master.clone()
    }

    /// Moves the numbers: a step. What layers made of them is let go first, so that there is room for it again.
    pub(super) fn step(&self, step: impl FnOnce(&mut Tensor<B>) -> Result<()>) -> Result<()> {
        let mut state = self.write();
        state.prepared = None;
        step(&mut state.master)
    }

    /// The weight of a layer, ready for the product forwards and for the one backwards.
    pub(super) fn prepared(&self, backend: &B, precision: Precision) -> Result<(B::Buffer, B::Buffer)> {
        if let Some((known, forwards, backwards)) = &self.read().prepared
            && *known == precision
        {
            return Ok((forwards.clone(), backwards.clone()));
        }
        let mut state = self.write();
        let forwards = backend.prepare_weight((&state.master).into(), precision)?;
        let backwards = backend.prepare_weight((&state.master.permute(&[1, 0])?).into(), precision)?;
        state.prepared = Some((precision, forwards.clone(), backwards.clone()));
        Ok((forwards, backwards))
    }

    fn read(&self) -> RwLockReadGuard<'_, State<B>> {
        // A state is replaced as a whole: it is right whatever happened to a thread that held it.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<B>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A view as the backend inside sees it.
pub(super) fn inner<B: TrainBackend>(view: &View<Node<B>>) -> View<B::Buffer> {
    view.with_buffer(match view.buffer() {
        Node::Constant(buffer, _) | Node::Result(buffer, _) => buffer.clone(),
        Node::Parameter(parameter) => parameter.master().buffer().clone(),
    })
}

/// A layer as the backend inside sees it, and the one that leads its gradient back to its input.
pub(super) fn layers<B: TrainBackend>(
    backend: &B,
    layer: &Linear<Node<B>>,
) -> Result<[Linear<B::Buffer>; 2]> {
    let Node::Parameter(weight) = &layer.weight else {
        return Err(crate::Error::Gradient { word: "linear", reason: "its weight is no parameter" });
    };
    let (forwards, backwards) = weight.prepared(backend, layer.precision)?;
    let (in_features, out_features, precision) = (layer.in_features, layer.out_features, layer.precision);
    let bias = layer.bias.as_ref().map(inner);
    Ok([
        Linear { weight: forwards, bias, in_features, out_features, precision },
        Linear {
            weight: backwards,
            bias: None,
            in_features: out_features,
            out_features: in_features,
            precision,
        },
    ])
}
