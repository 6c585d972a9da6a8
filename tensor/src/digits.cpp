#include "troupe/tensor/digits.hpp"

#include "troupe/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

namespace troupe::tensor {

namespace {

constexpr int side = 28;
constexpr std::size_t pixels = side * side;
constexpr float pi = 3.14159265f;

struct point {
  float x;
  float y;
};

/// Part of an ellipse from one angle to another, in turns of the circle (0 right, 0.25 down), or
/// with radius 0 a single corner of a polyline. Units: the digit's box is [-1, 1] x [-1, 1], y
/// downwards.
struct piece {
  point centre;
  point radius{0, 0};
  float from = 0;
  float to = 0;
};

/// Pieces drawn without lifting the pen.
using stroke = std::vector<piece>;

piece corner(float x, float y) { return {{x, y}}; }
piece arc(float x, float y, float rx, float ry, float from, float to) {
  return {{x, y}, {rx, ry}, from, to};
}

/// Every digit has one or more ways it is written.
using style = std::vector<stroke>;

const std::array<std::vector<style>, 10>& styles() {
  static const std::array<std::vector<style>, 10> all{{
      {{{arc(0, 0, 0.6f, 0.95f, -0.25f, 0.75f)}}},
      {{{corner(0, -0.95f), corner(0, 0.95f)}},
       {{corner(-0.4f, -0.5f), corner(0.05f, -0.95f), corner(0.05f, 0.95f)}}},
      {{{arc(0, -0.4f, 0.55f, 0.5f, 0.5f, 1.1f), corner(-0.6f, 0.9f), corner(0.6f, 0.9f)}}},
      {{{arc(-0.05f, -0.45f, 0.5f, 0.45f, 0.55f, 1.25f),
         arc(-0.05f, 0.45f, 0.6f, 0.5f, -0.25f, 0.45f)}}},
      {{{corner(0.25f, 0.95f), corner(0.25f, -0.95f), corner(-0.65f, 0.35f), corner(0.65f, 0.35f)}},
       {{corner(-0.5f, -0.9f), corner(-0.55f, 0.1f), corner(0.5f, 0.1f)},
        {corner(0.35f, -0.9f), corner(0.3f, 0.95f)}}},
      {{{corner(0.55f, -0.9f), corner(-0.4f, -0.9f), corner(-0.45f, -0.1f),
         arc(-0.05f, 0.35f, 0.6f, 0.55f, -0.3f, 0.4f)}}},
      {{{corner(0.35f, -0.95f), arc(0, 0.4f, 0.55f, 0.5f, 0.55f, 1.5f)}}},
      {{{corner(-0.55f, -0.9f), corner(0.55f, -0.9f), corner(-0.15f, 0.95f)}},
       {{corner(-0.55f, -0.9f), corner(0.55f, -0.9f), corner(-0.15f, 0.95f)},
        {corner(-0.3f, 0.0f), corner(0.45f, 0.0f)}}},
      {{{arc(0, -0.45f, 0.45f, 0.45f, 0.25f, 1.25f), arc(0, 0.45f, 0.55f, 0.5f, -0.25f, 0.75f)}}},
      {{{arc(0, -0.4f, 0.5f, 0.5f, 0.0f, 1.0f), corner(0.4f, 0.95f)}},
       {{arc(0, -0.4f, 0.5f, 0.5f, 0.0f, 1.0f), arc(-0.1f, 0.3f, 0.6f, 0.65f, 0.0f, 0.4f)}}},
  }};
  return all;
}

/// The hand that draws one sample: where a point of the digit's box lands on the image.
struct hand {
  float xx, xy, yx, yy, x, y;
  float bend_x, bend_y;

  explicit hand(generator& random) {
    const auto between = [&](double low, double high) {
      return static_cast<float>(random.uniform(low, high));
    };
    const float angle = between(-0.25, 0.25);
    const float slant = between(-0.3, 0.3);
    const float width = between(6.0, 9.5);
    const float height = between(8.0, 11.0);
    const float c = std::cos(angle);
    const float s = std::sin(angle);
    xx = c * width;
    xy = -s * height - slant * c * height;
    yx = s * width;
    yy = c * height - slant * s * height;
    x = 13.5f + between(-2.5, 2.5);
    y = 13.5f + between(-2.5, 2.5);
    bend_x = between(-0.15, 0.15);
    bend_y = between(-0.15, 0.15);
  }

  point place(point p) const {
    const float u = p.x + bend_x * (p.y * p.y - 0.5f);
    const float v = p.y + bend_y * (p.x * p.x - 0.5f);
    return {x + xx * u + xy * v, y + yx * u + yy * v};
  }
};

using image = std::array<float, pixels>;

/// Raises every pixel to what a pen of this radius leaves on the way from a to b: full within the
/// radius, falling to nothing over one pixel (anti-aliased).
void draw_segment(image& ink, point a, point b, float radius) {
  const float reach = radius + 0.5f;
  const auto first = [&](float low) {
    return std::max(0, static_cast<int>(std::ceil(low - reach)));
  };
  const auto last = [&](float high) {
    return std::min(side - 1, static_cast<int>(std::floor(high + reach)));
  };
  const int x0 = first(std::min(a.x, b.x));
  const int x1 = last(std::max(a.x, b.x));
  const int y0 = first(std::min(a.y, b.y));
  const int y1 = last(std::max(a.y, b.y));
  const float dx = b.x - a.x;
  const float dy = b.y - a.y;
  const float length2 = dx * dx + dy * dy;
  const float inverse = length2 > 0 ? 1 / length2 : 0;
  for (int y = y0; y <= y1; ++y) {
    const float py = static_cast<float>(y) - a.y;
    float* row = ink.data() + y * side;
    for (int x = x0; x <= x1; ++x) {
      const float px = static_cast<float>(x) - a.x;
      const float along = std::clamp((px * dx + py * dy) * inverse, 0.0f, 1.0f);
      const float ex = px - along * dx;
      const float ey = py - along * dy;
      const float cover = std::clamp(reach - std::sqrt(ex * ex + ey * ey), 0.0f, 1.0f);
      row[x] = std::max(row[x], cover);
    }
  }
}

/// Follows a stroke, each of its points a little off, and draws it.
void draw_stroke(image& ink, const stroke& pieces, const hand& by, float radius,
                 generator& random) {
  constexpr double wobble = 0.09;
  bool started = false;
  point previous{};
  const auto visit = [&](point p) {
    const auto next = by.place(p);
    if (started) draw_segment(ink, previous, next, radius);
    previous = next;
    started = true;
  };
  const auto off = [&] { return static_cast<float>(random.uniform(-wobble, wobble)); };
  for (auto p : pieces) {
    p.centre.x += off();
    p.centre.y += off();
    if (p.radius.x == 0) {
      visit(p.centre);
      continue;
    }
    p.radius.x *= 1 + 2 * off();
    p.radius.y *= 1 + 2 * off();
    p.from += 0.4f * off();
    p.to += 0.4f * off();
    const int steps = 3 + static_cast<int>(10 * std::abs(p.to - p.from));
    for (int i = 0; i <= steps; ++i) {
      const float turn =
          p.from + (p.to - p.from) * static_cast<float>(i) / static_cast<float>(steps);
      visit({p.centre.x + p.radius.x * std::cos(2 * pi * turn),
             p.centre.y + p.radius.y * std::sin(2 * pi * turn)});
    }
  }
}

void draw_digit(std::size_t digit, generator& random, std::span<unsigned char> out) {
  image ink{};
  const auto& ways = styles()[digit];
  const auto& way = ways[random.below(ways.size())];
  const hand by(random);
  const auto radius = static_cast<float>(random.uniform(0.6, 1.7));
  for (const auto& s : way) draw_stroke(ink, s, by, radius, random);

  const auto brightness = static_cast<float>(random.uniform(150, 255));
  const auto noise = static_cast<float>(random.uniform(5, 45));
  // Two random bytes per pixel make a triangular distribution over (-1, 1), four pixels per draw.
  for (std::size_t i = 0; i < pixels; i += 4) {
    auto bits = random();
    for (std::size_t k = i; k < i + 4; ++k, bits >>= 16) {
      const int sum = static_cast<int>(bits & 255) + static_cast<int>(bits >> 8 & 255) - 255;
      const float value = ink[k] * brightness + noise * static_cast<float>(sum) / 255.0f;
      out[k] = static_cast<unsigned char>(std::round(std::clamp(value, 0.0f, 255.0f)));
    }
  }
}

} // namespace

data_set make_digits(std::size_t samples, std::uint64_t seed) {
  data_set::contents c;
  c.feature_count = pixels;
  c.class_count = 10;
  c.suggested = normalization_kind::global;
  c.bytes.resize(samples * pixels);
  c.labels.resize(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    generator random(seed, i + 1);
    c.labels[i] = static_cast<std::int32_t>(random.below(10));
    draw_digit(static_cast<std::size_t>(c.labels[i]), random,
               std::span(c.bytes).subspan(i * pixels, pixels));
  }
  return data_set(std::move(c));
}

} // namespace troupe::tensor
