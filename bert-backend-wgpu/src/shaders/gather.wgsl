// Rows of a table, copied bit by bit. A table too large for one buffer comes in parts: this one holds `count`
// rows from `first` on, and rows of other parts are left to their own dispatches.

struct Params {
    table: Rows, // extent of a row last
    ids: vec4<u32>, // offset, stride, how many, unused
    first: u32,
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group_index(group, groups) * 128u + lane;
    let length = params.table.w;
    let row = index / length;
    if row >= params.ids.z {
        return;
    }
    let id = ids[params.ids.x + row * params.ids.y] - params.first; // wraps far beyond `count` if it is less
    if id < params.count {
        out[index] = table[params.table.x + id * params.table.y + index % length * params.table.z];
    }
}
