//! Writers of small model files, byte by byte, so that the tests can also write wrong ones.

/// A safetensors file with this header and these bytes behind it.
pub fn safetensors_raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A tensor for [`safetensors`]: name, type as the format calls it, shape, bytes.
pub type Tensor<'a> = (&'a str, &'a str, &'a [usize], Vec<u8>);

/// A safetensors file that holds these tensors in this order.
pub fn safetensors(tensors: &[Tensor<'_>]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut lines = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let (start, end) = (data.len(), data.len() + bytes.len());
        lines.push(format!(
            r#"{name:?}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
        data.extend(bytes);
    }
    safetensors_raw(&format!("{{{}}}", lines.join(",")), &data)
}

/// The little-endian bytes of f32 numbers.
pub fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `0, 1, 2, …` as f32.
pub fn counting(count: usize) -> Vec<u8> {
    f32s(&(0..count).map(|i| i as f32).collect::<Vec<_>>())
}

/// How a [`zip`] is written.
#[derive(Clone, Copy, Default)]
pub struct ZipStyle {
    /// Sizes and offsets in the 64-bit records only, as for entries beyond 4 GiB.
    pub zip64: bool,
    /// Only offsets there, as for small entries of a large archive.
    pub far: bool,
    /// Data begins at multiples of 64, as PyTorch has it.
    pub aligned: bool,
    /// The compression method that the directory claims.
    pub method: u16,
    /// The flags of every entry; the lowest one says that it is encrypted.
    pub flags: u16,
}

/// A zip archive of stored entries.
pub fn zip(entries: &[(&str, &[u8])], style: ZipStyle) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in entries {
        let header_at = file.len();
        let data_at = header_at + 30 + name.len();
        let padding = if style.aligned { (data_at + 4).next_multiple_of(64) - data_at } else { 0 };
        file.extend(b"PK\x03\x04\0\0\0\0");
        file.extend(style.method.to_le_bytes());
        file.extend([0; 8]);
        file.extend((data.len() as u32).to_le_bytes());
        file.extend((data.len() as u32).to_le_bytes());
        file.extend((name.len() as u16).to_le_bytes());
        file.extend((padding as u16).to_le_bytes());
        file.extend(name.as_bytes());
        if padding > 0 {
            file.extend(b"FB");
            file.extend((padding as u16 - 4).to_le_bytes());
            file.resize(file.len() + padding - 4, b'Z');
        }
        file.extend(*data);

        let (size, offset) = (data.len() as u64, header_at as u64);
        let mut extra = Vec::new();
        if style.zip64 {
            extra.extend([9, 9, 2, 0, 7, 7]); // a field of another kind
            extra.extend([1, 0, 24, 0]);
            extra.extend([size, size, offset].iter().flat_map(|value| value.to_le_bytes()));
        } else if style.far {
            extra.extend([1, 0, 8, 0]);
            extra.extend(offset.to_le_bytes());
        }
        let narrow = |value: u64, wide: bool| if wide { u32::MAX } else { value as u32 };
        directory.extend(b"PK\x01\x02\0\0\0\0");
        directory.extend(style.flags.to_le_bytes());
        directory.extend(style.method.to_le_bytes());
        directory.extend([0; 8]);
        directory.extend(narrow(size, style.zip64).to_le_bytes());
        directory.extend(narrow(size, style.zip64).to_le_bytes());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend((extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(narrow(offset, style.zip64 || style.far).to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(extra);
    }
    let (count, offset, length) = (entries.len() as u64, file.len() as u64, directory.len() as u64);
    file.extend(directory);
    if style.zip64 {
        let record_at = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend(44u64.to_le_bytes());
        file.extend([0; 12]);
        file.extend([count, count, length, offset].iter().flat_map(|value| value.to_le_bytes()));
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend(record_at.to_le_bytes());
        file.extend([1, 0, 0, 0]);
    }
    let (count, length, offset) = if style.zip64 {
        (u16::MAX, u32::MAX, u32::MAX)
    } else {
        (count as u16, length as u32, offset as u32)
    };
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(offset.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// A pickle program, written opcode by opcode.
#[derive(Clone, Default)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    /// A program of protocol 2, as PyTorch writes it.
    pub fn new() -> Self {
        Self(b"\x80\x02".to_vec())
    }

    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw((text.len() as u32).to_le_bytes()).raw(text)
    }

    pub fn int(self, value: i64) -> Self {
        match value {
            0..=0xff => self.raw([b'K', value as u8]),
            0x100..=0xffff => self.raw(b"M").raw((value as u16).to_le_bytes()),
            _ if i32::try_from(value).is_ok() => self.raw(b"J").raw((value as i32).to_le_bytes()),
            _ => self.raw(b"\x8a\x08").raw(value.to_le_bytes()),
        }
    }

    pub fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.raw(b"("), |pickle, &value| pickle.int(value)).raw(b"t")
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n"))
    }

    pub fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").raw(b")R")
    }

    pub fn tensor(self, tensor: &TorchTensor<'_>) -> Self {
        let TorchTensor { storage, key, length, offset, shape, strides, .. } = *tensor;
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", storage)
            .text(key)
            .text("cpu")
            .int(length)
            .raw(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .raw(b"\x89")
            .ordered_dict()
            .raw(b"tR")
    }

    /// The end of a program.
    pub fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// A tensor as a `state_dict` describes it.
#[derive(Clone, Copy)]
pub struct TorchTensor<'a> {
    pub name: &'a str,
    pub storage: &'a str,
    pub key: &'a str,
    pub length: i64,
    pub offset: i64,
    pub shape: &'a [i64],
    pub strides: &'a [i64],
}

impl<'a> TorchTensor<'a> {
    /// An f32 tensor that fills storage `key`.
    pub fn new(name: &'a str, key: &'a str, shape: &'a [i64], strides: &'a [i64]) -> Self {
        let length = shape.iter().product();
        Self { name, storage: "FloatStorage", key, length, offset: 0, shape, strides }
    }
}

/// The pickle of a `state_dict` of these tensors.
pub fn state_dict(tensors: &[TorchTensor<'_>]) -> Vec<u8> {
    let start = Pickle::new().ordered_dict().raw(b"q\x00(");
    let pairs = tensors.iter().fold(start, |pickle, tensor| pickle.text(tensor.name).tensor(tensor));
    // The versions of the modules, which PyTorch attaches as an attribute.
    pairs.raw(b"u}").text("_metadata").ordered_dict().raw(b"sb").stop()
}

/// A `pytorch_model.bin` of a pickle and its storages.
pub fn torch(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let names: Vec<_> = storages.iter().map(|(key, _)| format!("archive/data/{key}")).collect();
    let mut entries = vec![("archive/data.pkl", pickle), ("archive/byteorder", b"little".as_slice())];
    entries.extend(names.iter().zip(storages).map(|(name, &(_, data))| (name.as_str(), data)));
    entries.push(("archive/version", b"3\n"));
    zip(&entries, ZipStyle { aligned: true, ..ZipStyle::default() })
}
