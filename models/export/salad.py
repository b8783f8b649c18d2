"""SALAD (Izquierdo & Civera, CVPR 2024): optimal-transport aggregation of patch tokens and class token into one global descriptor.

Parameter names are those of the public checkpoints (`dino_salad.ckpt` and its small variants), in which this module is `aggregator` and a
DINOv2 ViT-B/14 without registers, its last blocks trained along, is `backbone.model`.
"""
import torch
import torch.nn.functional as F
from torch import nn

HIDDEN = 512
SINKHORN_ITERATIONS = 3
# Clusters, values of a cluster, values of the token: 8448, 2112 and 544 in all.
VARIANTS = {"8192+256": (64, 128, 256), "2048+64": (32, 64, 64), "512+32": (16, 32, 32)}


class Salad(nn.Module):
    """descriptors (1,C,n), n more than the clusters, and class token (1,C) → global (1, clusters · values + token), unit length."""

    def __init__(self, channels, variant="8192+256"):
        super().__init__()
        self.clusters, values, token = VARIANTS[variant]
        self.length = self.clusters * values + token
        per_patch = lambda out: nn.Sequential(nn.Conv2d(channels, HIDDEN, 1), nn.Dropout(0.3), nn.ReLU(), nn.Conv2d(HIDDEN, out, 1))
        self.token_features = nn.Sequential(nn.Linear(channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, token))
        self.cluster_features, self.score = per_patch(values), per_patch(self.clusters)
        self.dust_bin = nn.Parameter(torch.tensor(1.0))

    def forward(self, descriptors, class_token):
        patches = descriptors[..., None]
        plan = transport(self.score(patches)[..., 0], self.dust_bin)
        clusters = torch.einsum("bln,bmn->blm", self.cluster_features(patches)[..., 0], plan)
        parts = [F.normalize(self.token_features(class_token), dim=1), F.normalize(clusters, dim=1).flatten(1)]
        return F.normalize(torch.cat(parts, 1), dim=1)


def transport(scores, dust_bin):
    """Share of each patch that goes to each cluster, (1,m,n), by Sinkhorn iterations in the log domain; a dustbin takes the rest."""
    clusters, patches = scores.shape[1], torch._shape_as_tensor(scores)[2].to(scores.dtype)
    rows = torch.cat([scores, dust_bin + torch.zeros_like(scores[:, :1])], 1)
    norm = -torch.log(patches + clusters)
    wanted = torch.cat([norm.expand(clusters), (norm + torch.log(patches - clusters)).reshape(1)])[None, :, None]
    u, v = torch.zeros_like(rows[:, :, :1]), torch.zeros_like(rows[:, :1])
    for _ in range(SINKHORN_ITERATIONS):
        u = wanted - torch.logsumexp(rows + v, 2, keepdim=True)
        v = norm - torch.logsumexp(rows + u, 1, keepdim=True)
    return torch.exp(rows + u + v - norm)[:, :clusters]
