// One invocation owns V neighbouring channels of a chunk of an image's rows (pixels): neighbouring invocations read
// neighbouring channels, whatever the size of a group.
#include vector
// count: invocations; columns: channels in units of V; image_rows: pixels; group_channels: channels of a group
struct Params {
  count: u32, columns: u32, chunks: u32, chunk_rows: u32, image_rows: u32, groups: u32, group_channels: u32, elements: f32,
}
#params

// Rows [begin, end) of the matrix, and the image that they belong to.
struct Chunk { begin: u32, end: u32, image: u32, column: u32 }

fn chunk_of(i: u32) -> Chunk {
  let at = i / p.columns;
  let image = at / p.chunks;
  let begin = min(at % p.chunks * p.chunk_rows, p.image_rows);
  let first = image * p.image_rows;
  return Chunk(first + begin, first + min(begin + p.chunk_rows, p.image_rows), image, i % p.columns);
}

// A pair of numbers a group, for each of the V channels from `column` on.
struct Pair { x: V, y: V }

fn group_at(image: u32, channel: u32) -> u32 {
  return image * p.groups + channel / p.group_channels;
}
