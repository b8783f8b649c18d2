"""DINOv2 (Oquab et al. 2023; with registers: Darcet et al. 2023), ViT-S/14 and ViT-B/14, for one image size.

Written out from the papers with the parameter names of the public checkpoints, so that these load strictly:

    dinov2_vits14_reg4_pretrain.pth, dinov2_vitb14_reg4_pretrain.pth, dinov2_vits14_pretrain.pth, dinov2_vitb14_pretrain.pth

Patch tokens are the dense descriptors, one for each 14×14 pixels; the class token is the whole image's; register tokens are dropped.
"""
import torch
import torch.nn.functional as F
from torch import nn

PATCH_PX = 14
TRAINED_PX = 518  # the position embedding of the checkpoints is for this size
DEPTH = 12
CHANNELS_AND_HEADS = {"s": (384, 6), "b": (768, 12)}
# ImageNet's, of values 0..1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Attention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x):
        batch, tokens, channels = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, channels))


class Mlp(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps=1e-6), nn.LayerNorm(channels, eps=1e-6)
        self.attn, self.mlp = Attention(channels, heads), Mlp(channels)
        self.ls1, self.ls2 = LayerScale(channels), LayerScale(channels)

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH_PX, PATCH_PX)

    def forward(self, image):
        return self.proj(image).flatten(2).transpose(1, 2)


class DinoV2(nn.Module):
    """image (1,3,S,S), normalised by ImageNet's mean and spread → patch tokens (1,C,S/14,S/14) and class token (1,C), both normed."""

    def __init__(self, size="s", registers=4, side_px=322):
        super().__init__()
        if side_px % PATCH_PX:
            raise ValueError(f"side of {side_px} px: give a multiple of {PATCH_PX}")
        self.channels, heads = CHANNELS_AND_HEADS[size]
        self.registers, self.side = registers, side_px // PATCH_PX
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, (TRAINED_PX // PATCH_PX) ** 2 + 1, self.channels))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, self.channels))
        self.mask_token = nn.Parameter(torch.zeros(1, self.channels))  # of training only; the checkpoints hold it
        self.patch_embed = PatchEmbed(self.channels)
        self.blocks = nn.ModuleList(Block(self.channels, heads) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(self.channels, eps=1e-6)

    def positions(self):
        """The position embedding for this size, (1, 1 + side², C): bicubic, as the models were released. Those with registers
        antialias; those without scale by a factor that is a tenth of a patch too large."""
        of_class, of_patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        trained = TRAINED_PX // PATCH_PX
        if self.side == trained:
            return self.pos_embed
        grid = of_patches.reshape(1, trained, trained, self.channels).permute(0, 3, 1, 2)
        if self.registers:
            grid = F.interpolate(grid, size=(self.side, self.side), mode="bicubic", antialias=True)
        else:
            factor = (self.side + 0.1) / trained
            grid = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([of_class, grid.flatten(2).transpose(1, 2)], 1)

    def fix_positions(self):
        """Computes the position embedding once: in the exported graph it is a constant."""
        self.register_buffer("fixed_positions", self.positions().detach(), persistent=False)
        return self

    def forward(self, image):
        x = torch.cat([self.cls_token, self.patch_embed(image)], 1) + self.fixed_positions
        if self.registers:
            x = torch.cat([x[:, :1], self.register_tokens, x[:, 1:]], 1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        patches = x[:, 1 + self.registers :].transpose(1, 2).unflatten(2, (self.side, self.side))
        return patches, x[:, 0]
