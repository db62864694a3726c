<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * No such peer, record, job or file.
 */
final class NotFoundException extends PlasmException
{
}
