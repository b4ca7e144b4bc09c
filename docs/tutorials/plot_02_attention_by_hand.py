r"""
The attention layer by hand
===========================

:class:`~pyspiga_geo.nn.LandmarkAttention` is two equations,

.. math::
    \alpha_{ij} = \mathrm{softmax}_{j \neq i} \left( \mathbf{h}^q_i \cdot \mathbf{h}^k_j \right),

.. math::
    \mathbf{m}_i = \sum_{j \neq i} \alpha_{ij} \mathbf{h}^v_j ,

and some engineering that makes them fast. Here we leave the engineering out, compute every symbol ourselves in double
precision, and compare with the layer at the end. Nothing harder than a matrix product is needed.
"""

import copy

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import PowerNorm
from skimage.data import astronaut

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.graph import complete_edges
from pyspiga_geo.nn import LandmarkAttention

# %%
# Something to compute with
# -------------------------
# Random numbers would do, but would make dull pictures. So we run the trained model on a photo and keep what goes into
# the first graph layer of its last step: the features :math:`\mathbf{x}_i` of the landmarks, each the sum of visual
# features around the landmark and an encoding of its position. Layer norm brings them to one length, so that attention
# stays soft however large they grow: :math:`\mathbf{f}_i = \mathrm{LN}(\mathbf{x}_i)`. We load the model and give it
# to the aligner, because an aligner that loads a model by name optimises it, which merges some layers.

aligner = FaceAligner(SPIGA.from_pretrained("compact"))
block = aligner.model.cascade.steps[-1].blocks[0]
seen: list[torch.Tensor] = []
hook = block.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0][0]))
aligner(astronaut())
hook.remove()

x = seen[-1].double()
block = copy.deepcopy(block).double()
f, layer = block.pre_norm(x), block.conv
L, C = f.shape
print(layer, f"on {L} landmarks with {C} features each")

# %%
# Query, key and value
# --------------------
# Three affine maps of the same features. The query says what a landmark looks for, the key what it has to offer, and
# the value what it sends to those that attend to it:
#
# .. math:: \mathbf{h}^{q,k,v}_i = \mathbf{W}^{q,k,v} \mathbf{f}_i + \mathbf{b}^{q,k,v}

q = f @ layer.lin_query.weight.T + layer.lin_query.bias
k = f @ layer.lin_key.weight.T + layer.lin_key.bias
v = f @ layer.lin_value.weight.T + layer.lin_value.bias
print("q, k, v:", tuple(q.shape), tuple(k.shape), tuple(v.shape))

# %%
# Heads
# -----
# With several heads the channels are split into groups of d, and each group has a softmax of its own. We look at the
# first.

d = C // layer.heads
q0, k0, v0 = q[:, :d], k[:, :d], v[:, :d]

# %%
# Similarity
# ----------
# How well does the query of i match the key of j? The dot products of all pairs are one matrix product. The authors'
# code divides them by :math:`\sqrt{d}`, the paper does not. The option ``scale`` decides; the compact model was trained
# with it.

s = q0 @ k0.T * layer.scale  # [L, L]; layer.scale is 1 / sqrt(d), or 1
print(f"d = {d}, scale = {layer.scale:.3f}, similarities from {s.min():.2f} to {s.max():.2f}")

# %%
# Softmax, without oneself
# ------------------------
# In the paper a landmark does not attend to itself, j ≠ i: it has its own features already. Setting the diagonal to
# minus infinity achieves this, because the exponential is then zero. The largest similarity of each row is subtracted
# first: this divides numerator and denominator by the same factor, and no exponential overflows.
#
# .. math:: \alpha_{ij} = \frac{e^{s_{ij}}}{\sum_{l \neq i} e^{s_{il}}}

without_self = s.masked_fill(torch.eye(L, dtype=torch.bool), -torch.inf)
e = (without_self - without_self.amax(dim=1, keepdim=True)).exp()
alpha = e / e.sum(dim=1, keepdim=True)
print(f"rows add up to {alpha.sum(dim=1).min():.12f} ... {alpha.sum(dim=1).max():.12f}")

PARTS = {"jaw": 0, "brows": 17, "nose": 27, "eyes": 36, "mouth": 48}


def show_matrix(ax, matrix, title, gamma=0.5):
    """A matrix [L, L] of pairs, with the parts of the face along its sides; gamma < 1 shows small values."""
    image = ax.imshow(matrix.detach(), norm=PowerNorm(gamma))
    ax.set_xticks(list(PARTS.values()), list(PARTS), rotation=45)
    ax.set_yticks(list(PARTS.values()), list(PARTS))
    ax.set_title(title)
    ax.figure.colorbar(image, ax=ax, shrink=0.75)


figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
show_matrix(axes[0], s, "similarity $s_{ij}$", gamma=1)
show_matrix(axes[1], alpha, r"attention $\alpha_{ij}$")
for ax in axes:
    ax.set_xlabel("speaker j")
    ax.set_ylabel("listener i")

# %%
# In this head the jaw attends to its neighbours, the mouth to itself and to the jaw below, and the rest of the face
# mostly to the eyes. The diagonal on the right is zero.
#
# The message
# -----------
# The message to i is the mean of the others' values, weighted by attention: one more matrix product.

m0 = alpha @ v0  # [L, d]

# %%
# The same for every head, with the messages concatenated:


def attend(q, k, v):
    """Messages of one head."""
    s = (q @ k.T * layer.scale).masked_fill(torch.eye(L, dtype=torch.bool), -torch.inf)
    return s.softmax(dim=1) @ v


heads = [attend(*parts) for parts in zip(q.split(d, 1), k.split(d, 1), v.split(d, 1), strict=True)]
m = torch.cat(heads, dim=1)  # [L, C]

# %%
# And now the layer, which does all of this in one fused operation of PyTorch. In double precision the two may differ
# only in the last digits.

out = layer(f)
_, attention = layer(f, return_attention_weights=True)  # [heads, L, L]
print(f"messages:  largest difference {(out - m).abs().max():.1e}")
print(f"attention: largest difference {(attention[0] - alpha).abs().max():.1e}")
assert (out - m).abs().max() < 1e-12
assert (attention[0] - alpha).abs().max() < 1e-12

# %%
# The attention of all heads of this layer. Where a head has bright columns, many landmarks attend to the same few.

figure, axes = plt.subplots(1, layer.heads, figsize=(13, 3.2), layout="constrained")
for head, ax in enumerate(axes):
    show_matrix(ax, attention[head], f"head {head}")

# %%
# The same, edge by edge
# ----------------------
# PyTorch Geometric computes the same with edges: each carries a message from its source to its target, and the target
# sums the messages. This is slow, but it works on any graph, and it *defines* what the layer does. On the complete
# graph it must give the same result.

source, target = complete_edges(L)
weights = alpha[target, source]  # [E]
by_edges = torch.zeros_like(m0).index_add(0, target, weights[:, None] * v0[source])
print(f"{len(source)} edges, head 0: largest difference {(by_edges - m0).abs().max():.1e}")

along_edges = layer(f, complete_edges(L))
print(f"the layer, along edges: largest difference {(along_edges - m).abs().max():.1e}")
assert (by_edges - m0).abs().max() < 1e-12
assert (along_edges - m).abs().max() < 1e-12

# %%
# From message to new features
# ----------------------------
# :class:`~pyspiga_geo.nn.GraphBlock` concatenates the message with the features of the landmark, and a small network
# computes how the features change:
#
# .. math:: \mathbf{x}_i \leftarrow \mathbf{x}_i + \mathrm{MLP}([\mathbf{f}_i \,\Vert\, \mathbf{m}_i])
#
# The MLP is a linear map, a batch norm, a ReLU, and a linear map.

first, last = block.update.mlp.lins
norm = block.update.mlp.norms[0].module
h = torch.cat([f, m], dim=1) @ first.weight.T + first.bias
h = (h - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
updated = block.skip(x) + h.clamp(min=0) @ last.weight.T + last.bias
print(f"updated features: largest difference {(block(x) - updated).abs().max():.1e}")
assert (block(x) - updated).abs().max() < 1e-12

# %%
# Who is who?
# -----------
# Nothing above used the *index* of a landmark. Shuffle the landmarks, and the messages are the same, shuffled:
# the layer is equivariant to permutations. It can tell an eye corner from a mouth corner only by their features. In the
# cascade these contain a position encoding: the displacements from all the others, in order.

order = torch.randperm(L)
print(f"shuffled: largest difference {(layer(f[order]) - m[order]).abs().max():.1e}")
assert (layer(f[order]) - m[order]).abs().max() < 1e-12

# %%
# What the scale is for
# ---------------------
# How many others does a landmark attend to? The exponential of the entropy of its weights is their effective number: 1
# for a single one, 67 for equal weights. Without the division by :math:`\sqrt{d}` similarities are larger, and the
# softmax comes closer to choosing a single landmark; those not chosen get hardly any gradient.

trained = {name: value for name, value in layer.state_dict().items()}
for scale in (True, False):
    other = LandmarkAttention(C, C, layer.heads, scale=scale).double()
    other.load_state_dict(trained)
    _, weights = other(f, return_attention_weights=True)
    entropy = -(weights * weights.clamp(min=1e-300).log()).sum(dim=-1)
    print(f"scale={scale!s:5}: each listens to {entropy.exp().mean():4.1f} others on average")

# %%
# The weights were trained with the scale. So the second line shows what *these* weights do without it, and not what a
# model trained without it would do. To find out whether something helps, one has to train:
# :doc:`/auto_tutorials/plot_05_train_a_cascade` is the shortest way.
