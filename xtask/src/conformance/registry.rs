//! The backends that can be compared. Another one is another line in [`subjects`].

use bert_backend_cpu::{CpuBackend, CpuOptions, SimdLevel};
use bert_backend_wgpu::{Limits, WgpuBackend, WgpuOptions};
use bert_core::Backend;
use bert_core::reference::Reference;

use super::fault::Fault;
use super::perf::{self, Timing};
use super::suite::{Plan, Verdict, run};
use super::tolerance::names;
use crate::error::{Error, Result};

/// A backend, with its type forgotten.
pub struct Subject {
    /// Its name, and its instruction set if it has several: `cpu:avx2`.
    pub name: String,
    run: Box<Run>,
    measure: Box<Measure>,
}

type Run = dyn Fn(&Plan) -> Vec<Verdict>;
type Measure = dyn Fn(&Plan) -> Result<Vec<Timing>, Fault>;

impl Subject {
    /// A backend, and the same one with other threads, which has to give the same bits.
    fn new<B: Backend>(name: impl Into<String>, backend: B, twins: Vec<B>) -> Self {
        let (name, timed) = (name.into(), backend.clone());
        Self {
            name: name.clone(),
            run: Box::new(move |plan| run(&name, &backend, &twins, plan)),
            measure: Box::new(move |plan| perf::measure(&timed, plan)),
        }
    }

    /// Runs a plan.
    pub fn run(&self, plan: &Plan) -> Vec<Verdict> {
        (self.run)(plan)
    }

    /// Times the provided operations.
    ///
    /// # Errors
    /// The first one that fails.
    pub fn measure(&self, plan: &Plan) -> Result<Vec<Timing>, Fault> {
        (self.measure)(plan)
    }
}

/// All backends of this build that this machine can run.
///
/// # Errors
/// [`Error::Cpu`] if the CPU backend cannot be made.
pub fn subjects() -> Result<Vec<Subject>> {
    let mut all = vec![Subject::new("reference", Reference, vec![])];
    for level in SimdLevel::available() {
        let cpu = |threads| CpuBackend::new(CpuOptions { simd: Some(level), threads });
        let twins = vec![cpu(Some(1))?, cpu(Some(3))?];
        all.push(Subject::new(format!("cpu:{level:?}").to_lowercase(), cpu(None)?, twins));
    }
    // Within the limits of every device, not of this one.
    let options = WgpuOptions { limits: Some(Limits::defaults()), ..WgpuOptions::default() };
    match pollster::block_on(WgpuBackend::new(&options)) {
        Ok(backend) => all.push(Subject::new("wgpu", backend, vec![])),
        Err(error) => eprintln!("SKIPPED wgpu: {error}"),
    }
    Ok(all)
}

/// Those that are asked for by name: `cpu` means all of `cpu:portable`, `cpu:avx2` and so on.
///
/// # Errors
/// [`Error::NoBackend`] for a name that fits none.
pub fn chosen(wanted: &[String]) -> Result<Vec<Subject>> {
    let all = subjects()?;
    if let Some(found) = wanted.iter().find(|name| !all.iter().any(|subject| names(name, &subject.name))) {
        let known = all.iter().map(|subject| subject.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::NoBackend { found: found.clone(), known });
    }
    Ok(all.into_iter().filter(|subject| wanted.iter().any(|name| names(name, &subject.name))).collect())
}
