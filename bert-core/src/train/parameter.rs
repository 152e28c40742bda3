//! What the buffers of a training backend are: numbers, with where they came from.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::TrainBackend;
use super::adapter::Adapter;
use super::tape::Goal;
use crate::Result;
use crate::contract::{Linear, Precision, Tensor};
use crate::tensor::{HostTensor, Shape, View};

/// A buffer of [`Autodiff<B>`](super::Autodiff).
#[derive(Clone)]
pub enum Node<B: TrainBackend> {
    /// Numbers that have no gradient: ids, bounds, and what follows from frozen parameters alone. The host remembers
    /// ids for gradients of tables.
    Constant(B::Buffer, Option<Arc<HostTensor>>),
    /// What an entry of the tape gave.
    Result(B::Buffer, usize),
    /// A parameter.
    Parameter(Arc<Parameter<B>>),
}

impl<B: TrainBackend> Node<B> {
    /// Whether anybody wants to know its gradient.
    pub(super) fn needs_gradient(&self) -> bool {
        match self {
            Self::Constant(..) => false,
            Self::Result(..) => true,
            Self::Parameter(parameter) => parameter.trains(),
        }
    }

    /// Where its gradient goes, without its numbers.
    pub(super) fn goal(&self) -> Goal<B> {
        match self {
            node if !node.needs_gradient() => Goal::Nowhere,
            Self::Constant(..) => Goal::Nowhere,
            Self::Result(_, entry) => Goal::Result(*entry),
            Self::Parameter(parameter) => Goal::Parameter(parameter.clone()),
        }
    }
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
    trains: AtomicBool,
    /// 1 where its numbers move, and 0 where they stay; all of them move if there is none.
    mask: Option<Tensor<B>>,
    /// What is learnt beside it, if it is the weight of a linear layer.
    adapter: OnceLock<Adapter<B>>,
    state: RwLock<State<B>>,
}

struct State<B: TrainBackend> {
    master: Tensor<B>,
    /// What is kept of what was made for the products of each [`Way`].
    prepared: [Option<(Precision, B::Buffer)>; 2],
}

/// The two products of a weight: with an input, and with the gradient of an output.
#[derive(Clone, Copy)]
enum Way {
    Forwards,
    Backwards,
}

impl<B: TrainBackend> Parameter<B> {
    pub(super) fn new(master: Tensor<B>) -> Self {
        let shape = master.shape();
        let state = State { master, prepared: [None, None] };
        Self {
            shape,
            trains: AtomicBool::new(true),
            mask: None,
            adapter: OnceLock::new(),
            state: RwLock::new(state),
        }
    }

    /// The same, of which those numbers stay as they are where the mask is 0.
    pub(super) fn with_mask(self, mask: Tensor<B>) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// Where its numbers move, if not everywhere.
    pub(super) fn mask(&self) -> Option<&Tensor<B>> {
        self.mask.as_ref()
    }

    /// Puts an adapter beside the weight, unless it has one.
    pub(super) fn adapt(&self, adapter: Adapter<B>) {
        let _ = self.adapter.set(adapter);
    }

    pub(super) fn adapter(&self) -> Option<&Adapter<B>> {
        self.adapter.get()
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The numbers as they are now.
    pub fn master(&self) -> Tensor<B> {
        self.read().master.clone()
    }

    /// Whether it has gradients; a frozen one stays what it is.
    pub fn trains(&self) -> bool {
        self.trains.load(Ordering::Relaxed)
    }

    pub(super) fn set_trains(&self, trains: bool) {
        self.trains.store(trains, Ordering::Relaxed);
    }

    /// Moves the numbers: a step. What layers made of them is let go first, so that there is room for it again.
    pub(super) fn step(&self, step: impl FnOnce(&mut Tensor<B>) -> Result<()>) -> Result<()> {
        let mut state = self.write();
        state.prepared = [None, None];
        step(&mut state.master)
    }

    /// The weight of a layer, ready for a product. With `keep`, or if the weight is frozen, it is kept for the next one;
    /// otherwise what was kept is used for the last time: a pass that is trained on is followed by a step, after which
    /// the weight is another one.
    fn prepared(&self, backend: &B, way: Way, precision: Precision, keep: bool) -> Result<B::Buffer> {
        let keep = keep || !self.trains();
        if keep
            && let Some((known, buffer)) = &self.read().prepared[way as usize]
            && *known == precision
        {
            return Ok(buffer.clone());
        }
        let mut state = self.write();
        let kept = state.prepared[way as usize].take().filter(|(known, _)| *known == precision);
        let buffer = match (kept, way) {
            (Some((_, buffer)), _) => buffer,
            (None, Way::Forwards) => backend.prepare_weight((&state.master).into(), precision)?,
            (None, Way::Backwards) => {
                backend.prepare_weight((&state.master.permute(&[1, 0])?).into(), precision)?
            }
        };
        state.prepared[way as usize] = keep.then(|| (precision, buffer.clone()));
        Ok(buffer)
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

/// A layer as the backend inside sees it; what is made of its weight stays for the next pass if `keep` says so.
pub(super) fn forwards<B: TrainBackend>(
    backend: &B,
    layer: &Linear<Node<B>>,
    keep: bool,
) -> Result<Linear<B::Buffer>> {
    let Linear { in_features, out_features, precision, .. } = *layer;
    let weight = weight_of(layer)?.prepared(backend, Way::Forwards, precision, keep)?;
    Ok(Linear { weight, bias: layer.bias.as_ref().map(inner), in_features, out_features, precision })
}

/// The layer that leads the gradient of a layer back to its input. Its weight is made for this one product: all of them
/// at once take as much memory as the model.
pub(super) fn backwards<B: TrainBackend>(backend: &B, layer: &Linear<Node<B>>) -> Result<Linear<B::Buffer>> {
    let Linear { in_features, out_features, precision, .. } = *layer;
    let weight = weight_of(layer)?.prepared(backend, Way::Backwards, precision, false)?;
    Ok(Linear { weight, bias: None, in_features: out_features, out_features: in_features, precision })
}

fn weight_of<B: TrainBackend>(layer: &Linear<Node<B>>) -> Result<&Arc<Parameter<B>>> {
    match &layer.weight {
        Node::Parameter(weight) => Ok(weight),
        _ => Err(crate::Error::Gradient { word: "linear", reason: "its weight is no parameter" }),
    }
}
