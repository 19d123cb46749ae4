"""Batches of transitions go in, a policy and its critics come out: Cal-QL on d3rlpy, with what one robot hour needs.

Beside d3rlpy 2.8.1's CalQL: LayerNorm critics in one stack, a target from a random subset of them, a
behaviour-cloning term, a conservative weight per phase, several critic updates per actor update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from dopamine_core.rl.networks import LayerNormEncoderFactory, StackedCritic, StackedForwarder

# isort: split
from d3rlpy.algos import CalQL, CalQLConfig
from d3rlpy.algos.qlearning.torch.cal_ql_impl import CalQLImpl
from d3rlpy.algos.qlearning.torch.cql_impl import CQLCriticLoss, CQLModules
from d3rlpy.algos.qlearning.torch.sac_impl import SACActorLoss
from d3rlpy.models.builders import create_normal_policy, create_parameter
from d3rlpy.models.torch import ActionOutput, build_squashed_gaussian_distribution, get_parameter
from d3rlpy.optimizers import AdamFactory
from d3rlpy.torch_utility import TorchMiniBatch
from torch import nn

from dopamine_core.config import check, setting
from dopamine_core.rl.buffer import Transitions

# Of the action before tanh: never blind, never wilder than the whole range.
LOG_STD_RANGE = (-5.0, 0.0)


@dataclass(frozen=True)
class AgentConfig:
    """Numbers of the agent; the source of each is named."""

    gamma: float = setting(
        0.98, doc="Discount per decision (Robo-Dopamine, real arm).", low=0.5, high=0.999
    )
    hidden: tuple[int, ...] = setting(
        (256, 256), doc="Hidden layers of actor and critics (ConRFT).", low=8
    )
    critics: int = setting(4, doc="Critics in the ensemble (own pilot).", low=2, high=20)
    target_subset: int = setting(
        2, doc="Critics drawn for a target's minimum (REDQ).", low=1, high=20
    )
    tau: float = setting(
        0.005, doc="Share of the critics that moves into the targets per update.", low=0, high=1
    )
    actor_rate: float = setting(3e-4, doc="Learning rate of the actor (ConRFT).", low=0.0, high=0.1)
    critic_rate: float = setting(
        3e-4, doc="Learning rate of the critics (ConRFT).", low=0.0, high=0.1
    )
    temperature_rate: float = setting(
        3e-4, doc="Learning rate of the temperature.", low=0.0, high=0.1
    )
    initial_temperature: float = setting(
        0.01, doc="Entropy temperature at the start.", low=1e-6, high=10.0
    )
    target_entropy: float = setting(
        -1.0,
        doc="Wanted entropy per action axis, in nats of the [-1, 1] action (SAC: -1).",
        low=-10.0,
        high=1.0,
    )
    action_samples: int = setting(
        4, doc="Sampled actions per source in the conservative term.", low=1, high=50
    )
    conservative_rows: int = setting(
        32,
        doc="Rows of a batch that the conservative term looks at: it costs ten times what TD does.",
        low=1,
        high=4096,
    )
    conservative_offline: float = setting(
        0.1, doc="Weight of the conservative term offline (ConRFT, own pilot).", low=0.0, high=10.0
    )
    conservative_online: float = setting(
        0.0, doc="Its weight online (ConRFT: plain TD; Cal-QL keeps it).", low=0.0, high=10.0
    )
    max_backup: bool = setting(
        True, doc="Back up the best of several sampled next actions (Cal-QL)."
    )
    cloning_offline: float = setting(
        1.0, doc="Weight of behaviour cloning offline (ConRFT).", low=0.0
    )
    cloning_online: float = setting(
        0.5, doc="Weight of behaviour cloning online (ConRFT).", low=0.0
    )
    value_weight: float = setting(1.0, doc="Weight of the value in the actor's loss.", low=0.0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AgentBatch(TorchMiniBatch):
    """d3rlpy's batch with one more column."""

    imitate: torch.Tensor | None = None  # (B, 1) 1 where behaviour cloning applies
    next_floors: torch.Tensor | None = None  # (B, 1) smallest feasible value of the next state


@dataclass(frozen=True)
class ActorLoss(SACActorLoss):
    """d3rlpy's actor loss with its cloning part and the numbers of the health panel."""

    bc_loss: torch.Tensor
    q_policy: torch.Tensor
    bound_rate: torch.Tensor
    action_saturation: torch.Tensor
    entropy: torch.Tensor


@dataclass(frozen=True)
class CriticLoss(CQLCriticLoss):
    """d3rlpy's critic loss with the numbers of the health panel."""

    q_data: torch.Tensor


class _Impl(CalQLImpl):
    """d3rlpy's Cal-QL losses, with the phase's weights and the cloning term."""

    def __init__(self, config: AgentConfig, best_return: float, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self._agent, self._best_return = config, best_return
        self.cloning_weight = config.cloning_offline

    def set_weights(self, conservative: float, cloning: float) -> None:
        """Choose the weights of a phase."""
        self._conservative_weight = conservative
        self.cloning_weight = cloning

    def compute_critic_loss(self, batch: TorchMiniBatch, q_tpn: torch.Tensor) -> CriticLoss:
        assert isinstance(batch, AgentBatch) and batch.next_floors is not None
        discount = self._gamma**batch.intervals * (1.0 - batch.terminals)
        # What follows is worth between nothing and the best case, less Phi(s'): shaping telescopes. Without this
        # the pessimism that offline training leaves on unseen states spreads when practice begins.
        low = batch.next_floors
        y = batch.rewards + discount * q_tpn.clamp(low, low + self._best_return)  # (B, 1)
        values = self._q_func_forwarder.compute_expected_q(
            batch.observations, batch.actions, "none"
        )  # (C, B, 1)
        td = ((values - y) ** 2).mean(dim=(1, 2)).sum()  # sum over the ensemble, as d3rlpy has it
        conservative = torch.zeros(())
        if self._conservative_weight > 0.0:
            # Evenly spread: a mixed batch holds demonstrations first, practice after.
            few = slice(None, None, max(1, len(batch.actions) // self._agent.conservative_rows))
            conservative = self._compute_conservative_loss(
                batch.observations[few],
                batch.actions[few],
                batch.next_observations[few],
                batch.returns_to_go[few],
            ).sum()
        return CriticLoss(
            critic_loss=td + conservative,
            conservative_loss=conservative.detach(),
            alpha=torch.tensor(self._conservative_weight),
            q_data=values.mean().detach(),
        )

    def _compute_deterministic_target(self, batch: TorchMiniBatch) -> torch.Tensor:
        count = self._n_action_samples if self._max_q_backup else 1
        dist = build_squashed_gaussian_distribution(self._modules.policy(batch.next_observations))
        actions = dist.sample_n(count)  # (B, n, A)
        flat = batch.next_observations.repeat_interleave(count, dim=0)
        values = self._targ_q_func_forwarder.compute_target(
            flat, actions.reshape(len(flat), -1), "min"
        )
        return values.view(-1, count).max(dim=1, keepdim=True).values

    def compute_actor_loss(self, batch: TorchMiniBatch, action: ActionOutput) -> ActorLoss:
        dist = build_squashed_gaussian_distribution(action)
        sampled, log_prob = dist.sample_with_log_prob()
        temp_loss = self.update_temp(log_prob)
        temperature = get_parameter(self._modules.log_temp).exp().detach()
        q = self._q_func_forwarder.compute_expected_q(batch.observations, sampled, "mean")
        bc = self._cloning_loss(batch, action)
        value = self._agent.value_weight
        return ActorLoss(
            actor_loss=(temperature * log_prob - value * q).mean() + self.cloning_weight * bc,
            temp_loss=temp_loss,
            temp=temperature[0][0],
            bc_loss=bc.detach(),
            q_policy=q.mean().detach(),
            bound_rate=(q < batch.returns_to_go).float().mean(),
            action_saturation=(action.squashed_mu.abs() > 0.95).float().mean(),
            entropy=-log_prob.mean().detach(),
        )

    def _cloning_loss(self, batch: TorchMiniBatch, action: ActionOutput) -> torch.Tensor:
        """Mean squared error to the imitated actions, over the rows that are imitated."""
        assert isinstance(batch, AgentBatch) and batch.imitate is not None
        error = ((action.squashed_mu - batch.actions) ** 2).sum(dim=1, keepdim=True)  # (B, 1)
        return (batch.imitate * error).sum() / batch.imitate.sum().clamp(min=1.0)

    def update_temp(self, log_prob: torch.Tensor) -> torch.Tensor:
        assert self._modules.temp_optim
        wanted = self._agent.target_entropy * self._action_size
        self._modules.temp_optim.zero_grad()
        # log temperature instead of temperature: the step does not vanish when the temperature is small.
        log_temp = get_parameter(self._modules.log_temp)
        loss = -(log_temp * (log_prob.detach() + wanted)).mean()
        loss.backward()
        self._modules.temp_optim.step()
        return loss.detach()


class _CalQL(CalQL):
    """d3rlpy's Cal-QL object around :class:`_Impl`."""

    agent: AgentConfig
    best_return: float

    def inner_create_impl(self, observation_shape: tuple[int, ...], action_size: int) -> None:
        agent, config = self.agent, self._config
        critics, targets = (
            StackedCritic(int(observation_shape[0]), action_size, list(agent.hidden), agent.critics)
            for _ in range(2)
        )
        encoder = config.actor_encoder_factory
        low, high = LOG_STD_RANGE
        policy = create_normal_policy(
            observation_shape,
            action_size,
            encoder,
            self._device,
            False,
            min_logstd=low,
            max_logstd=high,
        )
        temperature = create_parameter(
            (1, 1), math.log(agent.initial_temperature), self._device, False
        )
        adam = AdamFactory()
        modules = CQLModules(
            policy=policy,
            q_funcs=nn.ModuleList([critics]),
            targ_q_funcs=nn.ModuleList([targets]),
            log_temp=temperature,
            log_alpha=create_parameter((1, 1), 0.0, self._device, False),
            actor_optim=adam.create(policy.named_modules(), agent.actor_rate, False),
            critic_optim=adam.create(critics.named_modules(), agent.critic_rate, False),
            temp_optim=adam.create(temperature.named_modules(), agent.temperature_rate, False),
            alpha_optim=None,  # a fixed weight: with returns in [-1, 1] the Lagrangian only adds noise
        )
        self._impl = _Impl(
            agent,
            self.best_return,
            observation_shape=observation_shape,
            action_size=action_size,
            modules=modules,
            q_func_forwarder=StackedForwarder(critics, agent.critics),
            targ_q_func_forwarder=StackedForwarder(targets, agent.target_subset),
            gamma=config.gamma,
            tau=config.tau,
            alpha_threshold=0.0,
            conservative_weight=agent.conservative_offline,
            n_action_samples=config.n_action_samples,
            soft_q_backup=False,
            max_q_backup=config.max_q_backup,
            compiled=False,
            device=self._device,
        )


class CalQLAgent:
    """The agent: ``act(observation)`` and ``learn(batch)`` on normalised observations.

    :param observation_size: Z, after the normaliser.
    :param action_size: A.
    :param config: numbers.
    :param seed: seeds torch, which draws the weights and every sampled action.
    :param best_return: largest feasible Q, see ``shaping.q_range``.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: AgentConfig,
        seed: int,
        best_return: float = 1.0,
    ) -> None:
        torch.manual_seed(seed)
        self.config = config
        self._algo = _CalQL(_d3rlpy_config(config), device=None, enable_ddp=False)
        self._algo.agent, self._algo.best_return = config, best_return
        self._algo.create_impl((observation_size,), action_size)

    @property
    def impl(self) -> _Impl:
        """d3rlpy's implementation object: modules, targets and optimizers."""
        impl = self._algo.impl
        assert isinstance(impl, _Impl)
        return impl

    def begin_phase(self, online: bool) -> None:
        """Choose the weights of the offline or the online phase."""
        config = self.config
        if online:
            self.impl.set_weights(config.conservative_online, config.cloning_online)
        else:
            self.impl.set_weights(config.conservative_offline, config.cloning_offline)

    def update_critic(self, batch: Transitions) -> dict[str, float]:
        """One critic update and one step of its targets."""
        self.impl.modules.set_train()
        metrics = self.impl.update_critic(_to_torch(batch))
        self.impl.update_critic_target()
        return metrics

    def update_actor(self, batch: Transitions) -> dict[str, float]:
        """One actor and temperature update."""
        critics = self.impl.modules.q_funcs
        critics.requires_grad_(False)  # the actor's loss needs no gradients of their weights
        try:
            return self.impl.update_actor(_to_torch(batch))
        finally:
            critics.requires_grad_(True)

    def act(self, observations: np.ndarray, greedy: bool = True) -> np.ndarray:
        """Actions (N, A) in [-1, 1] of normalised observations (N, Z)."""
        x = torch.as_tensor(observations, dtype=torch.float32)
        with torch.no_grad():
            impl = self.impl
            choose = impl.inner_predict_best_action if greedy else impl.inner_sample_action
            return choose(x).numpy()

    @property
    def log_std_range(self) -> tuple[float, float]:
        """Bounds of the logarithm of the policy's standard deviation."""
        return LOG_STD_RANGE

    def actor_state(self) -> dict[str, np.ndarray]:
        """Weights of the actor as arrays, for the export."""
        return {name: value.numpy() for name, value in self.impl.policy.state_dict().items()}

    def value(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Mean value over the ensemble, (N,)."""
        x, a = (torch.as_tensor(v, dtype=torch.float32) for v in (observations, actions))
        with torch.no_grad():
            return self.impl.inner_predict_value(x, a).numpy()


def _d3rlpy_config(config: AgentConfig) -> CalQLConfig:
    encoder = LayerNormEncoderFactory(list(config.hidden))
    return CalQLConfig(
        gamma=config.gamma,
        tau=config.tau,
        n_critics=config.critics,
        n_action_samples=config.action_samples,
        max_q_backup=config.max_backup,
        alpha_learning_rate=0.0,
        alpha_threshold=0.0,
        actor_encoder_factory=encoder,
    )


def _to_torch(batch: Transitions) -> AgentBatch:
    def column(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).view(-1, 1)

    return AgentBatch(
        observations=torch.from_numpy(batch.observations),
        actions=torch.from_numpy(batch.actions),
        rewards=column(batch.rewards),
        next_observations=torch.from_numpy(batch.next_observations),
        next_actions=torch.empty(0),
        returns_to_go=column(batch.bounds),
        terminals=column(batch.terminals),
        intervals=column(batch.intervals),
        device="cpu",
        imitate=column(batch.imitate),
        next_floors=column(batch.next_floors),
    )
