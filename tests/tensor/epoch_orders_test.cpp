#include "troupe/tensor/epoch_orders.hpp"

#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "troupe/tensor/permutation.hpp"

using namespace troupe;
using tensor::epoch_orders;

TEST_CASE("ORDERS-1: the order of an epoch is the permutation of job and epoch") {
  for (std::size_t samples : {0u, 1u, 7u}) {
    epoch_orders orders{samples, 5};
    for (std::uint32_t epoch : {0u, 1u, 3u, 0u})
      CHECK(*orders.of(epoch) == tensor::permutation(samples, 5, epoch));
  }
}

TEST_CASE(
    "ORDERS-2: an order is made once for all who ask while its epoch is one of the last two") {
  epoch_orders orders{100, 1};
  for (int worker = 0; worker < 1000; ++worker) {
    orders.of(0);
    orders.of(1);
  }
  CHECK(orders.made() == 2);
  const auto kept = orders.of(1);
  orders.of(2); // epoch 0 was asked for longest ago
  CHECK(orders.of(1) == kept);
  CHECK(orders.made() == 3);
  orders.of(0);
  CHECK(orders.made() == 4);
}

TEST_CASE("threads that ask for one order at once get the same, made once") {
  constexpr std::size_t samples = 10'000;
  epoch_orders orders{samples, 3};
  std::vector<epoch_orders::order> got(4);
  {
    std::vector<std::jthread> threads;
    for (auto& g : got)
      threads.emplace_back([&orders, &g] {
        for (int i = 0; i < 100; ++i) g = orders.of(static_cast<std::uint32_t>(i) / 50);
      });
  }
  for (const auto& g : got) CHECK(g == got.front());
  CHECK(*got.front() == tensor::permutation(samples, 3, 1));
  CHECK(orders.made() == 2);
}
