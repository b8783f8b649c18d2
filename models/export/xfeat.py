"""XFeat (Potje et al., CVPR 2024): descriptors, keypoints and reliability at 1/8 resolution.

Parameter names are those of the public `xfeat.pt`, which loads strictly; its `fine_matcher`, which pairs of images need, is loaded and
not exported.
"""
import torch
import torch.nn.functional as F
from torch import nn


class BasicLayer(nn.Module):
    def __init__(self, channels_in, channels_out, kernel=3, stride=1):
        super().__init__()
        conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.layer = nn.Sequential(conv, nn.BatchNorm2d(channels_out, affine=False), nn.ReLU())

    def forward(self, x):
        return self.layer(x)


def layers(*shapes, last=()):
    return nn.Sequential(*(BasicLayer(*shape) for shape in shapes), *last)


class XFeat(nn.Module):
    """image (B,3,H,W) in 0..1, H and W multiples of 32 → descriptors (B,64), keypoint logits (B,65), reliability (B,1), all at 1/8."""

    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm2d(1)
        self.skip1 = nn.Sequential(nn.AvgPool2d(4, 4), nn.Conv2d(1, 24, 1))
        self.block1 = layers((1, 4), (4, 8, 3, 2), (8, 8), (8, 24, 3, 2))
        self.block2 = layers((24, 24), (24, 24))
        self.block3 = layers((24, 64, 3, 2), (64, 64), (64, 64, 1))
        self.block4 = layers((64, 64, 3, 2), (64, 64), (64, 64))
        self.block5 = layers((64, 128, 3, 2), (128, 128), (128, 128), (128, 64, 1))
        self.block_fusion = layers((64, 64), (64, 64), last=[nn.Conv2d(64, 64, 1)])
        self.heatmap_head = layers((64, 64, 1), (64, 64, 1), last=[nn.Conv2d(64, 1, 1), nn.Sigmoid()])
        self.keypoint_head = layers((64, 64, 1), (64, 64, 1), (64, 64, 1), last=[nn.Conv2d(64, 65, 1)])
        hidden = lambda channels: [nn.Linear(channels, 512), nn.BatchNorm1d(512, affine=False), nn.ReLU()]
        self.fine_matcher = nn.Sequential(*hidden(128), *hidden(512), *hidden(512), *hidden(512), nn.Linear(512, 64))

    def forward(self, image):
        grey = self.norm(image.mean(1, keepdim=True))
        x3 = self.block3(self.block2(self.block1(grey) + self.skip1(grey)))
        x4 = self.block4(x3)
        to_8 = lambda x: F.interpolate(x, x3.shape[-2:], mode="bilinear")
        features = self.block_fusion(x3 + to_8(x4) + to_8(self.block5(x4)))
        # The 8×8 pixels of a cell row by row are its channels.
        return features, self.keypoint_head(F.pixel_unshuffle(grey, 8)), self.heatmap_head(features)
