"""The codec: transformers' EncodecModel with plain weights while it learns, and a residual quantiser that learns beside it."""

import torch
import torch.nn.functional as F
from torch.nn.utils import parametrize
from transformers import EncodecConfig, EncodecModel

from instruments import FRAME, RATE

BOOKS, CODES = 4, 512
QUIET = 1e-3  # below this magnitude (a full sine has 0.5) it does not matter how quiet something is


def config():
    return EncodecConfig(
        target_bandwidths=[BOOKS * (RATE // FRAME) * (CODES - 1).bit_length() / 1000],
        sampling_rate=RATE,
        audio_channels=1,
        normalize=False,
        hidden_size=64,
        num_filters=8,
        num_residual_layers=1,
        upsampling_ratios=[2, 2, 5, 5, 5],
        norm_type="weight_norm",
        use_causal_conv=False,
        num_lstm_layers=1,
        codebook_size=CODES,
        use_conv_shortcut=False,
    )


def plain_model():
    """Without weight norm, which only slows learning here."""
    model = EncodecModel(config())
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return model


def with_norm(plain):
    """The same model as transformers stores it: every kernel as its length and its direction."""
    model = EncodecModel(config())
    state, have = model.state_dict(), plain.state_dict()
    for name in state:
        if name.endswith("parametrizations.weight.original0"):
            kernel = have[name.replace("parametrizations.weight.original0", "weight")]
            state[name] = kernel.norm(dim=(1, 2), keepdim=True)
        elif name.endswith("parametrizations.weight.original1"):
            state[name] = have[name.replace("parametrizations.weight.original1", "weight")]
        else:
            state[name] = have[name]
    model.load_state_dict(state)
    return model.eval()


class Quantiser:
    """Codebooks moved towards the mean of what falls to them; those that nothing falls to begin anew elsewhere."""

    def __init__(self, model, decay=0.97):
        self.books = [layer.codebook for layer in model.quantizer.layers]
        self.decay, self.ready = decay, False
        self.generator = torch.Generator().manual_seed(5)

    def begin(self, rows, rounds=8):
        """k-means, one book after the other. rows: (many, size)."""
        for book in self.books:
            picks = torch.randperm(len(rows), generator=self.generator)[:CODES]
            book.embed.copy_(rows[picks])
            for _ in range(rounds):
                ids = book.quantize(rows)
                count = torch.bincount(ids, minlength=CODES).float()
                total = torch.zeros_like(book.embed).index_add_(0, ids, rows)
                book.embed.copy_(torch.where(count[:, None] > 0, total / count.clamp(min=1)[:, None], book.embed))
                dead = (count == 0).nonzero()[:, 0]
                book.embed[dead] = rows[torch.randint(0, len(rows), (len(dead),), generator=self.generator)]
            ids = book.quantize(rows)
            count = torch.bincount(ids, minlength=CODES).float() * (512 / len(rows)) + 0.05
            book.cluster_size.copy_(count)
            book.embed_avg.copy_(book.embed * count[:, None])
            rows = rows - book.embed[ids]
        self.ready = True

    def __call__(self, z, learn=True, gather=None):
        """z (clips, size, frames) to its quantised form (gradients pass straight through), the commitment loss and the codes."""
        rows = z.transpose(1, 2).reshape(-1, z.shape[1])
        rest, sums, commit, codes = rows, torch.zeros_like(rows), 0.0, []
        for book in self.books:
            with torch.no_grad():
                ids = book.quantize(rest.detach())
                told = book.embed[ids]
                if learn:
                    self.move(book, ids, rest.detach(), gather)
            commit = commit + F.mse_loss(rest, told)
            sums = sums + told
            rest = rest - told
            codes.append(ids.view(len(z), -1))
        straight = rows + (sums - rows).detach()
        return straight.view(len(z), -1, z.shape[1]).transpose(1, 2), commit, torch.stack(codes, 1)

    def move(self, book, ids, rows, gather):
        count = torch.bincount(ids, minlength=CODES).float()
        total = torch.zeros_like(book.embed).index_add_(0, ids, rows)
        if gather:
            count, total = gather(count, total)
        book.cluster_size.mul_(self.decay).add_(count, alpha=1 - self.decay)
        book.embed_avg.mul_(self.decay).add_(total, alpha=1 - self.decay)
        book.embed.copy_(book.embed_avg / book.cluster_size.clamp(min=1e-4)[:, None])

    def revive(self, rows, least=0.02):
        """Codes that are hardly used are put on rows that the books before them leave over."""
        for book in self.books:
            dead = (book.cluster_size < least).nonzero()[:, 0]
            picks = torch.randint(0, len(rows), (len(dead),), generator=self.generator)
            book.embed[dead] = rows[picks]
            book.cluster_size[dead] = 0.1
            book.embed_avg[dead] = rows[picks] * 0.1
            rows = rows - book.embed[book.quantize(rows)]
        return len(dead)


def spectra(x, size):
    """Magnitudes (clips, bins, times), of windows that overlap by three quarters."""
    window = torch.hann_window(size)
    return torch.stft(x, size, size // 4, window=window, return_complex=True).abs() / window.sum()


def distance(y, x, wave=1.0):
    """How far y is from x, (clips, samples): waveform, and magnitudes at four resolutions, plain and in logarithms."""
    loss = wave * (y - x).abs().mean() / 0.08
    for size in (2048, 1024, 512, 128):
        a, b = spectra(y, size), spectra(x, size)
        loss = loss + 0.5 * (a - b).norm() / b.norm().clamp(min=1e-3)
        loss = loss + 0.25 * ((a + QUIET).log() - (b + QUIET).log()).abs().mean()
    return loss / 2
