from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import nn

from search.errors import SearchError
from search.strategies._ddpg_agent import Agent
from search.strategies._ddpg_agent import AgentConfig
from search.strategies._ddpg_agent import MovingBaseline
from search.strategies._ddpg_networks import Actor
from search.strategies._ddpg_networks import Critic
from search.strategies._ddpg_networks import soft_update
from search.strategies._ddpg_replay import Episode
from search.strategies._ddpg_replay import flatten
from search.strategies._ddpg_replay import shape_rewards


def make_config(**changed: Any) -> AgentConfig:
    settings: dict[str, Any] = {
        "hidden": 16,
        "actor_lr": 3e-3,
        "critic_lr": 1e-2,
        "tau": 0.05,
        "batch_size": 32,
        "discount": 1.0,
        "baseline_decay": 0.9,
        "updates_per_step": 1,
        "replay_episodes": 100,
        "rank_power": 1.0,
    }
    return AgentConfig(**{**settings, **changed})


def episode(actions: list[float], reward: float) -> Episode:
    """States that say which of the two groups it is, and nothing else."""
    return Episode(np.eye(2), np.array(actions), reward)


def weights(agent: Agent) -> Tensor:
    nets = (agent.actor, agent.critic, agent.target_actor, agent.target_critic)
    return torch.cat([parameter.flatten() for net in nets for parameter in net.parameters()])


def test_target_moves_by_tau() -> None:
    target, source = nn.Linear(1, 1), nn.Linear(1, 1)
    for net, value in ((target, 1.0), (source, 3.0)):
        nn.init.constant_(net.weight, value)
        nn.init.constant_(net.bias, -value)
    soft_update(target, source, 0.25)  # 1 + 0.25 (3 - 1)
    assert (target.weight.item(), target.bias.item()) == (1.5, -1.5)
    soft_update(target, source, 0.25)  # 1.5 + 0.25 (3 - 1.5)
    assert target.weight.item() == 1.875
    assert (source.weight.item(), source.bias.item()) == (3.0, -3.0)


def test_moving_baseline_by_hand() -> None:
    baseline = MovingBaseline(0.75)
    assert baseline.update(torch.tensor([[1.0], [3.0]])).item() == 2.0  # the first batch sets it
    assert baseline.update(torch.tensor([[0.0], [0.0]])).item() == 1.5  # 0.75 * 2 + 0.25 * 0
    assert baseline.update(torch.tensor([[5.0], [6.0]])).item() == 2.5  # 0.75 * 1.5 + 0.25 * 5.5


def test_reward_is_written_on_every_transition() -> None:
    states = np.arange(12.0).reshape(2, 3, 2)
    steps = flatten(
        [Episode(states[0], np.array([0.1, 0.2, 0.3]), 0.5), Episode(states[1], np.array([0.4, 0.5, 0.6]), 0.25)],
        None,
    )
    assert steps.state_BF.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert steps.action_B1.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert steps.reward_B1.flatten().tolist() == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert steps.goes_on_B1.flatten().tolist() == [1, 1, 0, 1, 1, 0]
    assert steps.next_state_BF[[0, 1, 3, 4]].tolist() == [[2, 3], [4, 5], [8, 9], [10, 11]]


@pytest.mark.parametrize(
    ("rewards", "power", "expected"),
    [
        ([10.0, 30.0, 20.0], 1.0, [0.0, 1.0, 0.5]),
        ([10.0, 30.0, 20.0], 3.0, [0.0, 1.0, 0.125]),
        ([7.0, 7.0, 7.0, 7.0], 1.0, [0.5, 0.5, 0.5, 0.5]),
        ([2.0, 2.0, -1.0], 2.0, [0.5625, 0.5625, 0.0]),  # ranks 2.5, 2.5, 1 -> 0.75, 0.75, 0
        ([4.0], 3.0, [0.0]),
        ([1e308, -1e308, 0.0], 1.0, [1.0, 0.0, 0.5]),
        ([0.2, 0.93], None, [0.2, 0.93]),
        ([50.0, -200.0], None, [0.25, -1.0]),
    ],
)
def test_shaped_rewards(rewards: list[float], power: float | None, expected: list[float]) -> None:
    assert shape_rewards(np.array(rewards), power).tolist() == pytest.approx(expected)


def test_critic_adds_its_two_embeddings() -> None:
    critic = Critic(1, 1, torch.Generator())
    with torch.no_grad():
        for parameter, value in zip(critic.parameters(), [2.0, 0.5, 3.0, 0.0, 1.0, 0.0, 1.0, -1.0], strict=True):
            parameter.fill_(value)
    value = critic(torch.tensor([[0.5]]), torch.tensor([[0.25]]))
    assert value.item() == 1.25  # (2 * 0.5 + 0.5) + 3 * 0.25 - 1


@pytest.mark.parametrize("net", [Actor, Critic])
def test_weights_have_torchs_distribution_and_leave_its_generator_alone(net: type[Actor] | type[Critic]) -> None:
    before = torch.get_rng_state()
    drawn = net(9, 400, torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)
    again = net(9, 400, torch.Generator().manual_seed(3))
    for layer, same in zip(drawn.modules(), again.modules(), strict=True):
        if isinstance(layer, nn.Linear) and isinstance(same, nn.Linear):
            bound = 1.0 / layer.in_features**0.5
            assert torch.equal(layer.weight, same.weight)
            assert 0.95 * bound < layer.weight.abs().max() <= bound
            assert layer.bias.abs().max() <= bound


def test_critic_bootstraps_and_actor_climbs() -> None:
    """Episode (1, 1) has shaped reward 1, episode (0, 0) has 0, so the baseline is near 1/2.

    At the last group Q is R - b: +1/2 and -1/2. One group earlier the best that can follow, +1/2, is added: 1 and 0.
    """
    agent = Agent(2, make_config(updates_per_step=250), seed=0)
    agent.learn(episode([1.0, 1.0], 9.0), update=False)
    agent.learn(episode([0.0, 0.0], 4.0), update=True)
    with torch.no_grad():
        values = agent.critic(torch.eye(2).repeat(2, 1), torch.tensor([[1.0], [1.0], [0.0], [0.0]]))
    assert values.flatten().tolist() == pytest.approx([1.0, 0.5, 0.0, -0.5], abs=0.15)
    assert agent.value(np.eye(2), np.array([1.0, 0.0])) == pytest.approx([1.0, -0.5], abs=0.15)
    assert agent.act(np.eye(2)).min() > 0.9


def test_discount_of_zero_leaves_the_reward_alone() -> None:
    agent = Agent(2, make_config(updates_per_step=120, discount=0.0), seed=0)
    agent.learn(episode([1.0, 1.0], 9.0), update=False)
    agent.learn(episode([0.0, 0.0], 4.0), update=True)
    with torch.no_grad():
        values = agent.critic(torch.eye(2).repeat(2, 1), torch.tensor([[1.0], [1.0], [0.0], [0.0]]))
    assert values.flatten().tolist() == pytest.approx([0.5, 0.5, -0.5, -0.5], abs=0.15)


def test_forgotten_episodes_teach_nothing() -> None:
    def learned(first: Episode) -> Tensor:
        agent = Agent(2, make_config(replay_episodes=2), seed=0)
        for each in (first, episode([0.2, 0.4], 1.0), episode([0.6, 0.3], 2.0)):
            agent.learn(each, update=False)
        agent.learn(episode([0.5, 0.5], 3.0), update=True)
        return weights(agent)

    assert torch.equal(learned(episode([0.9, 0.1], 5.0)), learned(episode([0.1, 0.9], -5.0)))


def test_weights_follow_from_seed_and_episodes() -> None:
    def learned(seed: int, reward: float) -> Tensor:
        agent = Agent(2, make_config(), seed)
        agent.learn(episode([0.2, 0.4], reward), update=False)
        agent.learn(episode([0.6, 0.3], 2.0), update=True)
        return weights(agent)

    first = learned(1, 1.0)
    torch.rand(5)
    assert torch.equal(learned(1, 1.0), first)
    assert not torch.equal(learned(2, 1.0), first)
    assert not torch.equal(learned(1, 3.0), first)


def test_warmup_moves_no_weight() -> None:
    agent = Agent(2, make_config(), seed=0)
    before = weights(agent).clone()
    agent.learn(episode([0.2, 0.4], 1.0), update=False)
    assert torch.equal(weights(agent), before)


def test_one_update_per_step_by_default_of_amc(monkeypatch: pytest.MonkeyPatch) -> None:
    for per_step in (1, 3):
        agent = Agent(2, make_config(updates_per_step=per_step), seed=0)
        calls: list[int] = []
        monkeypatch.setattr(agent, "_update", lambda batch, calls=calls: calls.append(len(batch.state_BF)))
        agent.learn(episode([0.2, 0.4], 1.0), update=True)
        assert calls == [32] * (2 * per_step)


def test_learns_where_gradients_are_switched_off() -> None:
    agent = Agent(2, make_config(), seed=0)
    before = weights(agent).clone()
    with torch.no_grad():
        agent.learn(episode([0.2, 0.4], 1.0), update=True)
    assert not torch.equal(weights(agent), before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", 0),
        ("actor_lr", 0.0),
        ("critic_lr", -1.0),
        ("tau", 0.0),
        ("tau", 1.5),
        ("batch_size", 0),
        ("discount", 1.01),
        ("baseline_decay", 1.0),
        ("updates_per_step", 0),
        ("replay_episodes", 0),
        ("rank_power", 0.0),
    ],
)
def test_impossible_setting_is_named(name: str, value: float) -> None:
    with pytest.raises(SearchError, match=f"{name} .* found {value}"):
        make_config(**{name: value})
