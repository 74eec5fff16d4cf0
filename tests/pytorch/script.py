"""A training script as it is written for PyTorch; tests/test_from_pytorch.py ports it by its imports and by what the errors say."""

import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.utils.data import DataLoader, Dataset, random_split

CLASSES, SIZE, EPOCHS, WARMUP = 3, 8, 4, 5


class Stripes(Dataset):
    """Noisy images: stripes from left to right, from top to bottom, or none."""

    def __init__(self, samples):
        self.labels = torch.randint(0, CLASSES, (samples,))
        self.images = 0.5 * torch.randn(samples, 1, SIZE, SIZE)
        for i in range(samples):
            if self.labels[i] == 0:
                self.images[i, 0, ::2, :] += 1.0
            elif self.labels[i] == 1:
                self.images[i, 0, :, ::2] += 1.0

    def __len__(self):
        return self.images.size(0)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


class Net(nn.Module):
    def __init__(self, channels=8, p=0.2):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, kernel_size=3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(p)
        self.head = nn.Sequential(
            nn.Linear(2 * channels * (SIZE // 4) ** 2, 32),
            nn.ReLU(inplace=True),
            nn.Linear(32, CLASSES),
        )

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.head(self.dropout(x))


def initialise(module):
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def train_epoch(model, loader, criterion, optimizer, scheduler, device):
    model.train()
    total, seen = 0.0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(model(images), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        scheduler.step()
        total += loss.item() * len(images)
        seen += len(images)
    return total / seen


@torch.no_grad()
def evaluate(model, loader, criterion, device):
    model.eval()
    logits, labels = [], []
    for x, y in loader:
        logits.append(model(x.to(device)))
        labels.append(y.to(device))
    logits, labels = torch.cat(logits), torch.cat(labels)
    confidence = F.softmax(logits, dim=1).amax(dim=1).mean().item()
    right = (logits.argmax(dim=1) == labels).float().mean().item()
    return criterion(logits, labels).item(), right, confidence


def main():
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_set, test_set = random_split(Stripes(240), [192, 48])
    train_loader = DataLoader(train_set, batch_size=16, shuffle=True, pin_memory=True)
    test_loader = DataLoader(test_set, batch_size=48)

    model = Net().to(device)
    model.apply(initialise)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    weights = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=3e-3)
    warmup = LinearLR(optimizer, start_factor=0.1, total_iters=WARMUP)
    cosine = CosineAnnealingLR(optimizer, T_max=EPOCHS * len(train_loader) - WARMUP)
    scheduler = SequentialLR(optimizer, [warmup, cosine], milestones=[WARMUP])

    best, folder = -1.0, tempfile.mkdtemp()
    path = os.path.join(folder, "best.pt")
    for epoch in range(EPOCHS):
        loss = train_epoch(model, train_loader, criterion, optimizer, scheduler, device)
        test_loss, right, confidence = evaluate(model, test_loader, criterion, device)
        print(f"epoch {epoch}: loss {loss:.3f}, test {test_loss:.3f}, right {right:.3f}, sure {confidence:.3f}")
        if right > best:
            best = right
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
            torch.save(state, path)

    saved = torch.load(path, map_location=device, weights_only=True)
    again = Net().to(device)
    again.load_state_dict(saved["model"])
    return best, evaluate(again, test_loader, criterion, device)[1], scheduler.get_last_lr()[0]


result = main()
