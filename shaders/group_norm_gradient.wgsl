// What both passes of the backward need: g, the gradient towards x̂.
#include group_norm_common
#if ACTIVATION == silu
#include activation
#endif
#buffer dy: array<V>, read
#buffer x: array<V>, read
#include stored_weight BUFFER=weight
#if ACTIVATION == silu
#include stored_weight BUFFER=bias
#endif
#buffer stats: array<vec2<f32>>, read
#include group_norm_pairs

// Of the V channels: mean, rstd, weight, bias.
struct Channels { mean: V, rstd: V, weight: V, bias: V }

fn channels_of(chunk: Chunk) -> Channels {
  let stat = stats_of(chunk.image, chunk.column);
#if ACTIVATION == silu
  return Channels(stat.x, stat.y, weight_at(chunk.column), bias_at(chunk.column));
#else
  return Channels(stat.x, stat.y, weight_at(chunk.column), V());
#endif
}

fn gradient(channels: Channels, normal: V, upstream: V) -> V {
#if ACTIVATION == silu
  return upstream * channels.weight * activate_grad(normal * channels.weight + channels.bias);
#else
  return upstream * channels.weight;
#endif
}
