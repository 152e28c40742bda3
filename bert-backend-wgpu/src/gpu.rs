//! A device with its queue: commands are recorded as operations ask for them, and submitted together when
//! somebody waits for a result.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(not(target_family = "wasm"))]
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(target_family = "wasm"))]
use std::task::{Context, Poll, Waker};

use bert_core::contract::Counts;
use parking_lot::Mutex;
use wgpu::{BindGroup, BufferUsages, CommandEncoder, ComputePipeline, Device, Limits, Queue};

use crate::WgpuError;
use crate::ability::Abilities;
use crate::adapter::{AdapterDescription, Found, WgpuOptions, choose};
use crate::buffer::{Block, Pool, size_class};
use crate::cache::Cache;
use crate::health::Health;
use crate::kernel::{Kernel, Layouts, PARAMS};

/// Commands that are recorded before they are submitted even if nobody waits.
const MOST_COMMANDS: usize = 512;
/// Bytes that are uploaded before they are submitted: until then the driver keeps a copy of them.
const MOST_UPLOADED: u64 = 64 << 20;
/// Remembered bindings. One forward pass needs a few hundred at most.
const MOST_BINDINGS: usize = 8192;

/// A device that is open.
pub(crate) struct Gpu {
    pub device: Device,
    pub queue: Queue,
    pub adapter: AdapterDescription,
    pub abilities: Abilities,
    pub limits: Limits,
    pub pool: Arc<Pool>,
    health: Arc<Health>,
    layouts: Layouts,
    pipelines: Mutex<HashMap<Kernel, ComputePipeline>>,
    cache: Option<Cache>,
    recorder: Mutex<Recorder>,
    /// The parameters of all recorded commands.
    params: wgpu::Buffer,
    counts: Counters,
}

#[derive(Default)]
struct Counters {
    submissions: AtomicU64,
    dispatches: AtomicU64,
    uploads: AtomicU64,
    uploaded_bytes: AtomicU64,
    downloads: AtomicU64,
    downloaded_bytes: AtomicU64,
}

#[derive(Default)]
struct Recorder {
    commands: Vec<Command>,
    params: Vec<u8>,
    uploaded: u64,
    bindings: HashMap<Vec<u64>, BindGroup>,
}

struct Command {
    pipeline: ComputePipeline,
    bindings: BindGroup,
    params: u32,
    groups: (u32, u32),
}

impl Gpu {
    pub async fn open(options: &WgpuOptions) -> Result<Self, WgpuError> {
        let Found { description, abilities, adapter } = choose(options.adapter).await?;
        let abilities = if options.plain {
            Abilities { pipeline_cache: abilities.pipeline_cache, ..Abilities::default() }
        } else {
            abilities
        };
        let theirs = adapter.limits();
        let limits = options.limits.clone().unwrap_or_else(|| Limits {
            max_buffer_size: theirs.max_buffer_size,
            max_storage_buffer_binding_size: theirs.max_storage_buffer_binding_size,
            ..Limits::defaults()
        });
        check_limits(&description, &limits)?;
        let request = wgpu::DeviceDescriptor {
            label: Some("bert"),
            required_features: abilities.features(),
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&request).await.map_err(|error| WgpuError::Open {
            adapter: description.to_string(),
            reason: error.to_string(),
        })?;
        let health = Arc::new(Health::default());
        Health::watch(&health, &device);
        let params = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: (MOST_COMMANDS * PARAMS) as u64,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let layouts = Layouts::new(&device);
        let cache = options.cache.as_ref().filter(|_| abilities.pipeline_cache);
        let cache = cache.map(|folder| Cache::open(folder, &device, &adapter.get_info()));
        let gpu = Self {
            device,
            queue,
            adapter: description,
            abilities,
            limits,
            pool: Arc::new(Pool::new()),
            health,
            layouts,
            pipelines: Mutex::default(),
            cache,
            recorder: Mutex::default(),
            params,
            counts: Counters::default(),
        };
        gpu.check()?;
        Ok(gpu)
    }

    /// The most bytes of one block: what a shader can see and a buffer can be.
    pub fn most_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size) & !255
    }

    /// Reports what went wrong.
    pub fn check(&self) -> Result<(), WgpuError> {
        self.health.check()
    }

    /// A block of at least this many bytes, of any content.
    pub fn allocate(&self, op: &'static str, bytes: u64, for_upload: bool) -> Result<Block, WgpuError> {
        self.check()?;
        let limit = self.most_bytes();
        if bytes > limit {
            return Err(WgpuError::TooLarge { op, bytes, limit });
        }
        let size = size_class(bytes.max(4)).min(limit);
        if let Some(block) = self.pool.take(size, for_upload) {
            return Ok(block);
        }
        match self.create(size) {
            // Perhaps others of other sizes lie idle.
            Err(WgpuError::OutOfMemory { .. }) => {
                self.pool.clear();
                self.flush(|_| ())?;
                self.create(size)
            }
            result => result,
        }
    }

    fn create(&self, size: u64) -> Result<Block, WgpuError> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        Ok(self.pool.adopt(self.create_buffer(size, usage)?))
    }

    /// A buffer of the device.
    pub fn create_buffer(&self, size: u64, usage: BufferUsages) -> Result<wgpu::Buffer, WgpuError> {
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let buffer = self.guard_memory(size, || self.device.create_buffer(&descriptor))?;
        self.check()?;
        Ok(buffer)
    }

    /// Does something that may fail for want of memory, so that no other thread hears of it.
    #[cfg(not(target_family = "wasm"))]
    fn guard_memory<T>(&self, bytes: u64, work: impl FnOnce() -> T) -> Result<T, WgpuError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let result = work();
        let error = pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop()));
        match error {
            Poll::Ready(Some(_)) => Err(WgpuError::OutOfMemory { bytes }),
            _ => Ok(result),
        }
    }

    /// A browser tells later, and the next [`check`](Self::check) passes it on.
    #[cfg(target_family = "wasm")]
    fn guard_memory<T>(&self, _: u64, work: impl FnOnce() -> T) -> Result<T, WgpuError> {
        Ok(work())
    }

    /// Writes to a block that was allocated for an upload.
    pub fn write(&self, block: &Block, bytes: &[u8]) -> Result<(), WgpuError> {
        self.queue.write_buffer(&block.buffer, 0, bytes);
        self.counts.uploaded_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut recorder = self.recorder.lock();
        recorder.uploaded += bytes.len() as u64;
        if recorder.uploaded > MOST_UPLOADED {
            self.submit(&mut recorder, |_| ());
            drop(recorder);
            self.wait(); // until then the driver keeps copies
        }
        self.check()
    }

    /// Counts a tensor as uploaded.
    pub fn count_upload(&self) {
        self.counts.uploads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a download.
    pub fn count_download(&self, bytes: u64) {
        self.counts.downloads.fetch_add(1, Ordering::Relaxed);
        self.counts.downloaded_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What this device was asked to do so far.
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            submissions: of(&self.counts.submissions),
            dispatches: of(&self.counts.dispatches),
            uploads: of(&self.counts.uploads),
            uploaded_bytes: of(&self.counts.uploaded_bytes),
            downloads: of(&self.counts.downloads),
            downloaded_bytes: of(&self.counts.downloaded_bytes),
        }
    }

    /// Records a kernel: `groups` workgroups that read `inputs` and write `output`.
    pub fn run(
        &self,
        kernel: Kernel,
        inputs: &[&Block],
        output: &Block,
        params: &[u32],
        groups: u64,
    ) -> Result<(), WgpuError> {
        let pipeline = self.pipeline(&kernel)?;
        let mut recorder = self.recorder.lock();
        if self.pool.take_stale() {
            recorder.bindings.clear();
        }
        let bindings = self.bindings(&mut recorder, inputs, output);
        let at = recorder.params.len();
        recorder.params.extend_from_slice(bytemuck::cast_slice(params));
        recorder.params.resize(at + PARAMS, 0);
        let most = u64::from(self.limits.max_compute_workgroups_per_dimension);
        // More groups than fit in one dimension go on in the next one; a kernel ignores those beyond its work.
        let width = groups.clamp(1, most);
        let groups = (width as u32, groups.div_ceil(width) as u32);
        recorder.commands.push(Command { pipeline, bindings, params: at as u32, groups });
        self.counts.dispatches.fetch_add(1, Ordering::Relaxed);
        if recorder.commands.len() == MOST_COMMANDS {
            self.submit(&mut recorder, |_| ());
        }
        drop(recorder);
        self.check()
    }

    fn bindings(&self, recorder: &mut Recorder, inputs: &[&Block], output: &Block) -> BindGroup {
        let blocks = || inputs.iter().copied().chain([output]);
        let key: Vec<u64> = blocks().map(|block| block.id).collect();
        if let Some(bindings) = recorder.bindings.get(&key) {
            return bindings.clone();
        }
        let params = wgpu::BufferBinding {
            buffer: &self.params,
            offset: 0,
            size: wgpu::BufferSize::new(PARAMS as u64),
        };
        let params = wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(params) };
        let storage = blocks().zip(1..).map(|(block, binding)| wgpu::BindGroupEntry {
            binding,
            resource: block.buffer.as_entire_binding(),
        });
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: self.layouts.bindings(inputs.len()),
            entries: &[params].into_iter().chain(storage).collect::<Vec<_>>(),
        });
        if recorder.bindings.len() >= MOST_BINDINGS {
            recorder.bindings.clear();
        }
        recorder.bindings.insert(key, bindings.clone());
        bindings
    }

    /// The compiled kernel.
    pub fn pipeline(&self, kernel: &Kernel) -> Result<ComputePipeline, WgpuError> {
        let mut pipelines = self.pipelines.lock();
        if let Some(pipeline) = pipelines.get(kernel) {
            return Ok(pipeline.clone());
        }
        let stored = self.cache.as_ref().map(Cache::pipelines);
        let pipeline = kernel.compile(&self.device, &self.layouts, self.abilities, stored);
        self.check()?;
        if let Some(cache) = &self.cache {
            cache.count_compiled();
        }
        pipelines.insert(kernel.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// Submits all that was recorded, and what `last` adds to it.
    pub fn flush(&self, last: impl FnOnce(&mut CommandEncoder)) -> Result<(), WgpuError> {
        self.submit(&mut self.recorder.lock(), last);
        self.check()
    }

    fn submit(&self, recorder: &mut Recorder, last: impl FnOnce(&mut CommandEncoder)) {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        if !recorder.commands.is_empty() {
            self.queue.write_buffer(&self.params, 0, &recorder.params);
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for command in recorder.commands.drain(..) {
                pass.set_pipeline(&command.pipeline);
                pass.set_bind_group(0, &command.bindings, &[command.params]);
                pass.dispatch_workgroups(command.groups.0, command.groups.1, 1);
            }
        }
        last(&mut encoder);
        self.queue.submit([encoder.finish()]);
        recorder.params.clear();
        recorder.uploaded = 0;
        self.pool.next_epoch();
        self.counts.submissions.fetch_add(1, Ordering::Relaxed);
        // Lets the driver free what finished submissions used.
        let _ = self.device.poll(wgpu::PollType::Poll);
    }

    /// Blocks until all that was submitted is done and its callbacks have run. In a browser it does nothing:
    /// there callbacks come by themselves.
    pub fn wait(&self) {
        // The library panics if the driver says that the device is lost. That is an error like any other.
        let poll = || self.device.poll(wgpu::PollType::wait_indefinitely());
        if catch_unwind(AssertUnwindSafe(poll)).is_err() {
            self.health.lose("the driver stopped answering");
        }
    }
}

/// The kernels are written for what every WebGPU device can do.
fn check_limits(adapter: &AdapterDescription, limits: &Limits) -> Result<(), WgpuError> {
    let needed = Limits::defaults();
    let pairs = [
        (
            "maxComputeInvocationsPerWorkgroup",
            limits.max_compute_invocations_per_workgroup,
            needed.max_compute_invocations_per_workgroup,
        ),
        (
            "maxComputeWorkgroupStorageSize",
            limits.max_compute_workgroup_storage_size,
            needed.max_compute_workgroup_storage_size,
        ),
        (
            "maxStorageBuffersPerShaderStage",
            limits.max_storage_buffers_per_shader_stage,
            needed.max_storage_buffers_per_shader_stage,
        ),
    ];
    for (limit, found, needed) in pairs {
        if found < needed {
            let (found, needed) = (found.into(), needed.into());
            return Err(WgpuError::Limit { adapter: adapter.to_string(), limit, found, needed });
        }
    }
    Ok(())
}
