//! The backends that can be compared. Another one is another line in [`candidates`].

use bert_backend_cpu::{CpuBackend, CpuError, CpuOptions, SimdLevel};
use bert_backend_wgpu::{AdapterKind, Limits, WgpuBackend, WgpuError, WgpuOptions};
use bert_conformance::perf::{self, Timing};
use bert_conformance::{Fault, Plan, Verdict, names, run, run_training};
use bert_core::contract::BackendInfo;
use bert_core::reference::Reference;
use bert_core::train::TrainBackend;
use bert_tasks::Device;

use crate::error::{Error, Result};

/// A backend, with its type forgotten.
pub struct Subject {
    /// Its name, and its instruction set if it has several: `cpu:avx2`.
    pub name: String,
    /// What it runs on.
    pub info: BackendInfo,
    /// Whether it is a GPU that is a program on the CPU: right, but slow.
    pub is_software: bool,
    /// The same for tasks.
    pub device: Device,
    run: Box<Run>,
    train: Box<Run>,
    measure: Box<Measure>,
    gflops: Box<dyn Fn() -> Option<f64>>,
}

type Run = dyn Fn(&Plan) -> Vec<Verdict>;
type Measure = dyn Fn(&Plan) -> Result<Vec<Timing>, Fault>;

impl Subject {
    /// A backend, and the same one with other threads, which has to give the same bits.
    fn new<B: TrainBackend>(name: &str, backend: B, twins: Vec<B>) -> Self {
        let (run_name, timed, info) = (name.to_owned(), backend.clone(), backend.info());
        let (train_name, trained, trained_twins) = (name.to_owned(), backend.clone(), twins.clone());
        Self {
            name: name.to_owned(),
            info,
            is_software: false,
            device: Device::with_backend(backend.clone()),
            run: Box::new(move |plan| run(&run_name, &backend, &twins, plan)),
            train: Box::new(move |plan| run_training(&train_name, &trained, &trained_twins, plan)),
            measure: Box::new(move |plan| perf::measure(&timed, plan)),
            gflops: Box::new(|| None),
        }
    }

    /// Runs a plan.
    pub fn run(&self, plan: &Plan) -> Vec<Verdict> {
        (self.run)(plan)
    }

    /// Runs the recorded training.
    pub fn train(&self, plan: &Plan) -> Vec<Verdict> {
        (self.train)(plan)
    }

    /// Times the provided operations.
    ///
    /// # Errors
    /// The first one that fails.
    pub fn measure(&self, plan: &Plan) -> Result<Vec<Timing>, Fault> {
        (self.measure)(plan)
    }

    /// What the machine can do at best in `f32`, in 10⁹ operations a second, where that is known. Measures it.
    pub fn gflops(&self) -> Option<f64> {
        (self.gflops)()
    }
}

/// A backend that can be asked for: its name, and how to make it.
type Candidate = (String, Box<dyn Fn(&str) -> Result<Subject>>);

fn candidate<E: std::error::Error + Send + Sync + 'static>(
    name: impl Into<String>,
    make: impl Fn(&str) -> Result<Subject, E> + 'static,
) -> Candidate {
    let fail = |name: &str, source| Error::Backend { name: name.to_owned(), source: Box::new(source) };
    (name.into(), Box::new(move |name: &str| make(name).map_err(|source: E| fail(name, source))))
}

/// All backends of this build.
fn candidates() -> Vec<Candidate> {
    let mut all =
        vec![candidate("reference", |name| Ok::<_, bert_core::Error>(Subject::new(name, Reference, vec![])))];
    all.extend(
        SimdLevel::available()
            .map(|level| candidate(format!("cpu:{level:?}").to_lowercase(), move |name| cpu(name, level))),
    );
    all.push(candidate("wgpu", wgpu));
    all
}

fn cpu(name: &str, level: SimdLevel) -> Result<Subject, CpuError> {
    let cpu = |threads| CpuBackend::new(CpuOptions { simd: Some(level), threads });
    let backend = cpu(None)?;
    let subject = Subject::new(name, backend.clone(), vec![cpu(Some(1))?, cpu(Some(3))?]);
    Ok(Subject { gflops: Box::new(move || Some(backend.limits().f32_gflops)), ..subject })
}

/// Within the limits of every device, not of this one.
fn wgpu(name: &str) -> Result<Subject, WgpuError> {
    let options = WgpuOptions { limits: Some(Limits::defaults()), ..WgpuOptions::default() };
    let backend = pollster::block_on(WgpuBackend::new(&options))?;
    let is_software = backend.adapter().kind == AdapterKind::Software;
    Ok(Subject { is_software, ..Subject::new(name, backend, vec![]) })
}

/// Those that are asked for by name: `cpu` means all of `cpu:portable`, `cpu:avx2` and so on.
///
/// # Errors
/// [`Error::NoBackend`] for a name that fits none, [`Error::Backend`] for one that this machine cannot run.
pub fn chosen(wanted: &[impl AsRef<str>]) -> Result<Vec<Subject>> {
    let all = candidates();
    let is = |wanted: &str, (name, _): &Candidate| names(wanted, name);
    if let Some(found) = wanted.iter().find(|wanted| !all.iter().any(|known| is(wanted.as_ref(), known))) {
        let known = all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::NoBackend { found: found.as_ref().to_owned(), known });
    }
    all.iter()
        .filter(|known| wanted.iter().any(|wanted| is(wanted.as_ref(), known)))
        .map(|(name, make)| make(name))
        .collect()
}
