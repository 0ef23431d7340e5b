//! One stream of AAC-LC: its configuration goes in once, packets go in one by one, samples come out.
//! Memory is the module's own: the caller asks where to write and where to read.

use symphonia_codec_aac::AacDecoder;
use symphonia_core::audio::{AudioBufferRef, Signal};
use symphonia_core::codecs::{CodecParameters, Decoder, DecoderOptions, CODEC_TYPE_AAC};
use symphonia_core::formats::Packet;

pub struct Stream {
    decoder: Option<AacDecoder>,
    input: Vec<u8>,
    /// Channels one after the other.
    output: Vec<f32>,
    channels: u32,
    rate: u32,
}

#[no_mangle]
pub extern "C" fn stream_new() -> *mut Stream {
    Box::into_raw(Box::new(Stream { decoder: None, input: Vec::new(), output: Vec::new(), channels: 0, rate: 0 }))
}

/// Where `size` bytes are to be written: the configuration, or a packet.
///
/// # Safety
/// `stream` is of `stream_new` and not freed; so everywhere below.
#[no_mangle]
pub unsafe extern "C" fn stream_input(stream: *mut Stream, size: usize) -> *mut u8 {
    let input = &mut (*stream).input;
    input.resize(size, 0);
    input.as_mut_ptr()
}

/// Takes the input as an AudioSpecificConfig; 1 where such a stream can be decoded, else 0.
#[no_mangle]
pub unsafe extern "C" fn stream_configure(stream: *mut Stream) -> u32 {
    let stream = &mut *stream;
    let mut parameters = CodecParameters::new();
    parameters.for_codec(CODEC_TYPE_AAC).with_extra_data(stream.input.clone().into_boxed_slice());
    stream.decoder = AacDecoder::try_new(&parameters, &DecoderOptions::default()).ok();
    stream.decoder.is_some() as u32
}

/// Decodes the input as one packet; samples of each channel, or -1 where it is damaged.
#[no_mangle]
pub unsafe extern "C" fn stream_decode(stream: *mut Stream) -> i32 {
    let stream = &mut *stream;
    let Some(decoder) = stream.decoder.as_mut() else { return -1 };
    match decoder.decode(&Packet::new_from_slice(0, 0, 0, &stream.input)) {
        Ok(AudioBufferRef::F32(buffer)) => {
            stream.channels = buffer.spec().channels.count() as u32;
            stream.rate = buffer.spec().rate;
            stream.output.clear();
            for channel in 0..stream.channels as usize {
                stream.output.extend_from_slice(buffer.chan(channel));
            }
            buffer.frames() as i32
        }
        _ => -1,
    }
}

#[no_mangle]
pub unsafe extern "C" fn stream_output(stream: *const Stream) -> *const f32 {
    (*stream).output.as_ptr()
}

#[no_mangle]
pub unsafe extern "C" fn stream_channels(stream: *const Stream) -> u32 {
    (*stream).channels
}

#[no_mangle]
pub unsafe extern "C" fn stream_rate(stream: *const Stream) -> u32 {
    (*stream).rate
}

#[no_mangle]
pub unsafe extern "C" fn stream_free(stream: *mut Stream) {
    drop(Box::from_raw(stream));
}
