"""
A face is a graph
=================

Where is the corner of a mouth that is hidden by a hand or a microphone? The pixels there do not show it, but the
other landmarks help: the mouth lies between nose and chin. That is why SPIGA treats a face as a graph. The landmarks
are nodes, and they exchange messages along the edges.

This tutorial examines such a graph with the tools of PyTorch Geometric and networkx.
"""

import matplotlib.pyplot as plt
import networkx as nx
import torch
from skimage.data import astronaut
from torch_geometric.data import Batch
from torch_geometric.transforms import Compose, Delaunay, FaceToEdge
from torch_geometric.utils import to_networkx

from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.graph import complete_edges, contour_edges
from pyspiga_geo.nn import LandmarkAttention
from pyspiga_geo.visualization import draw_attention, draw_landmarks, show_photo, zoom_to_face

# %%
# Nodes
# -----
# The compact model, one of the two that ship with the package, finds a face in a photo and returns it as a
# :class:`~pyspiga_geo.graph.FaceData`, a :class:`torch_geometric.data.Data` with fixed names.

photo = astronaut()
aligner = FaceAligner("compact", views=1)
(face,) = aligner(photo, attention=True)
print(face)

# %%
# Row i of every node field belongs to landmark i: ``pos`` is its position, ``initial`` the position from which the
# cascade started. ``pose``, ``bbox``, ``camera`` and ``crop`` belong to the graph as a whole. The layout says which
# landmark is which; :doc:`/layouts` lists them all.

layout = aligner.layout
for index in (8, 30, 36, 45):
    contours = [name for name, members in layout.contours.items() if index in members]
    x, y = face.pos[index].tolist()
    print(f"landmark {index:2d}, id {layout.ids[index]:3d}, at ({x:.1f}, {y:.1f}) px, on {contours}")

# %%
# Edges
# -----
# A face does not determine which landmarks to join. Here are three graphs over the same nodes: neighbours along the
# *contours* of the face; neighbours in the *plane*, by Delaunay triangulation; and the *complete* graph, in which
# all pairs are joined. An edge runs from the source of a message, ``edge_index[0]``, to its target, ``edge_index[1]``.

triangulate = Compose([Delaunay(), FaceToEdge()])
graphs = {
    "contours": contour_edges(layout),
    "plane": triangulate(FaceData(pos=face.pos)).edge_index,
    "complete": complete_edges(len(layout)),
}

figure, axes = plt.subplots(1, 3, figsize=(12, 4.6), layout="constrained")
for ax, (name, edge_index) in zip(axes, graphs.items(), strict=True):
    show_photo(ax, photo, 0.5)
    zoom_to_face(ax, face, margin=0.12)
    lines = face.pos[edge_index.T]  # [E, 2, 2]
    ax.plot(*lines.permute(2, 1, 0), color="gold", linewidth=0.08 if name == "complete" else 1.2)
    ax.plot(*face.pos.T, ".", color="white", markersize=5)
    pieces = nx.number_connected_components(nx.Graph(edge_index.T.tolist()))
    ax.set_title(f"{name}: {edge_index.size(1)} edges, in {pieces} piece{'s' * (pieces > 1)}")

# %%
# The graph of contours is not connected: a message from the chin never reaches an eye, however many layers there
# are. In the plane it takes a few layers. The paper uses the complete graph, where one layer is enough, and lets
# attention weight the 4556 edges.
#
# Attention is a weight on every edge
# -----------------------------------
# We asked for attention above, so the face has ``edge_weight``: for each edge, the weight of its source in the message
# that its target receives (in the last layer of the last step, averaged over its heads). The weights into one target
# add up to one.

heard = torch.zeros(len(layout)).index_add(0, face.edge_index[1], face.edge_weight)
print(f"{face.num_edges} edges; the weights into a landmark add up to {heard.min():.4f} ... {heard.max():.4f}")

# %%
# Which landmarks do the tip of the chin and the outer corner of the left eye attend to?

figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
for ax, listener in zip(axes, (8, 45, None), strict=True):
    show_photo(ax, photo, 0.4)
    zoom_to_face(ax, face, margin=0.12)
    if listener is None:
        draw_attention(ax, face, colorbar=True)
        ax.set_title("the 150 strongest edges of all")
    else:
        draw_attention(ax, face, listener=listener, strongest=12, colorbar=True)
        ax.set_title(f"the 12 that landmark {listener} listens to most")

# %%
# Interpret such pictures with care. The weights differ from photo to photo and from training to training. A large
# weight shows that a value was *passed on*, not that it *mattered*: whether the messages help at all is a question for
# an experiment (:doc:`/ablation`).
#
# The same graph in networkx
# --------------------------
# Networkx has tools for weighted directed graphs. Imagine a random walk over the face: from a landmark to one that it
# attends to, chosen by the weights, and so on. How often the walk visits a landmark is its PageRank. Large discs are
# landmarks that many others attend to, directly or indirectly.

graph = to_networkx(face, edge_attrs=["edge_weight"])
rank = nx.pagerank(graph.reverse(), weight="edge_weight")  # the walk goes from listener to speaker
for index in sorted(rank, key=rank.get, reverse=True)[:5]:
    contours = [name for name, members in layout.contours.items() if index in members]
    print(f"landmark {index:2d}: {rank[index]:.3f}, on {contours}")

figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
show_photo(ax, photo, 0.5)
zoom_to_face(ax, face, margin=0.12)
ax.scatter(*face.pos.T, s=[4000 * rank[index] for index in range(len(layout))], color="gold", alpha=0.7)
ax.plot(*face.pos.T, ".", color="white", markersize=4)
ax.set_title("PageRank of the landmarks")
# %%
# Many faces are one graph
# ------------------------
# PyG batches graphs by placing them side by side: it concatenates the nodes of all faces, shifts the indices of the
# edges accordingly, and joins no two faces by an edge. Fields of the whole face, such as the picture, are stacked
# instead. Here with synthetic faces:

drawn = SyntheticFaces(layout, num_faces=4, seed=3)
batch = Batch.from_data_list([drawn[i] for i in range(4)])
print(batch)

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for ax, one in zip(axes, batch.to_data_list(), strict=True):
    show_photo(ax, one.image)
    draw_landmarks(ax, one, layout)
    ax.set_title("yaw {:.0f}°, pitch {:.0f}°, roll {:.0f}°".format(*one.pose[:3].tolist()))

# %%
# All these faces share one set of edges. So there is a second form of the same batch, which PyG calls a static graph:
# features ``[B, L, C]`` and the edges of a *single* face. The layers of this package take both, with equal results.

attention = LandmarkAttention(in_channels=16, out_channels=16, heads=4)
features = torch.randn(4, len(layout), 16)
static = attention(features, graphs["plane"])

shifts = len(layout) * torch.arange(4)
edges_of_all = torch.cat([graphs["plane"] + shift for shift in shifts], dim=1)
side_by_side = attention(features.flatten(0, 1), edges_of_all)

print(static.shape, side_by_side.shape)
print(f"largest difference {(static.flatten(0, 1) - side_by_side).abs().max():.1e}")

# %%
# The next tutorial computes attention on these edges step by step: :doc:`/auto_tutorials/plot_02_attention_by_hand`.
