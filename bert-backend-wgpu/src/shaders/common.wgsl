// What all kernels share: how views are walked, and how workgroups are counted.

// A view of up to four axes; missing ones are in front, with extent 1.
struct View {
    shape: vec4<u32>,
    strides: vec4<u32>,
    offset: u32,
    length: u32, // elements in all
}

// A view of two axes: offset, stride of rows, stride of columns, extent of a row.
alias Rows = vec4<u32>;

// Where the element lies that is number `index` in row-major order.
fn place(view: View, index: u32) -> u32 {
    let w = index % view.shape.w;
    var rest = index / view.shape.w;
    let z = rest % view.shape.z;
    rest /= view.shape.z;
    let y = rest % view.shape.y;
    let x = rest / view.shape.y;
    return view.offset + x * view.strides.x + y * view.strides.y + z * view.strides.z + w * view.strides.w;
}

// Where row `row` of a view starts: rows lie along the last axis.
fn row_place(view: View, row: u32) -> u32 {
    return place(view, row * view.shape.w);
}

// More workgroups than fit in one dimension go on in the second one.
fn group_index(group: vec3<u32>, count: vec3<u32>) -> u32 {
    return group.x + group.y * count.x;
}
